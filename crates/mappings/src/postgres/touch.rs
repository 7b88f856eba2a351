//! Touches: rows that change because other rows did (CAP-3).
//!
//! The trigger on the other table only writes down what changed (`lockstep.touch`); the sequencer stamps the rows that
//! depend on it after that was committed. Doing it later, not in the application's transaction, is what makes it safe:
//! a dependent row that is inserted at the same moment, unseen by the trigger, is either committed by then and found,
//! or commits later and is read with the new value. It also takes no locks in the application's transaction.
//!
//! `floor` is a sequence value drawn after the touch was seen: rows at or above it have been stamped since.

use super::names::{FLAG_COLUMN, SEQUENCE_COLUMN, tenancy_table};
use super::quote::{identifier, table};
use super::row;
use super::stamp::{RowLock, stamp_picked};
use crate::mapping::{Join, Mapping};

/// `lockstep.touch.target` of a join.
pub fn target(mapping: &Mapping, join: &Join) -> String {
    format!("{}.{}", mapping.name, join.alias)
}

/// Two questions, where one with `OR` would walk over all rows of the tenancy: an index answers each of them.
const UNSTAMPED: [&str; 2] = ["IS NULL", "< u.floor"];

/// `lockstep.touch.target` of all rows of one mapping that belong to a tenancy. No join has this name.
pub fn mapping_target(mapping: &Mapping) -> String {
    format!("{}.*", mapping.name)
}

/// The rows of `mapping` that depend, through `join`, on what the touch `u` names.
fn dependents(mapping: &Mapping, join: &Join, unstamped: &str) -> String {
    format!(
        "FROM {tenancies} t JOIN {source} s ON {belongs} WHERE t.\"id\" = u.tenancy_id AND ({here})::{cast} = (u.match_key)::{cast}{filter} AND s.\"{SEQUENCE_COLUMN}\" {unstamped}",
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        here = row::render(&join.here, "s"),
        cast = join.match_type.base.postgres_cast(),
        filter = row::and_filter(mapping, "s"),
    )
}

/// All rows of one source table that belong to the tenancy that the touch `u` names.
fn of_tenancy(mappings: &[&Mapping], unstamped: &str) -> String {
    let Some(first) = mappings.first() else { return String::new() };
    format!(
        "FROM {tenancies} t JOIN {source} s ON {belongs} WHERE t.\"id\" = u.tenancy_id AND ({any}) AND s.\"{SEQUENCE_COLUMN}\" {unstamped}",
        tenancies = table(&tenancy_table()),
        source = table(&first.source),
        belongs = row::belongs(first, "s"),
        any = row::in_any(mappings, "s"),
    )
}

fn stamp_from(mappings: &[&Mapping], from: impl Fn(&str) -> String, lock: RowLock) -> String {
    let lock = lock.sql().replace("SKIP", "OF s SKIP");
    let found =
        UNSTAMPED.map(|unstamped| format!("SELECT * FROM (SELECT s.ctid {} LIMIT $2 {lock}) f", from(unstamped)));
    format!(
        "WITH picked AS MATERIALIZED (SELECT p.ctid FROM lockstep.touch u CROSS JOIN LATERAL (\n    {}) p\n  WHERE u.id = ANY($1::bigint[]) LIMIT $2),\n{}",
        found.join("\n    UNION ALL "),
        stamp_picked(mappings)
    )
}

/// That no rows are left: both questions are answered by none. `NOT EXISTS` would become a join that walks over all rows.
fn none_left(from: impl Fn(&str) -> String) -> String {
    UNSTAMPED.map(|unstamped| format!("(SELECT 1 {} LIMIT 1) IS NULL", from(unstamped))).join("\n  AND ")
}

/// Stamps at most `$2 bigint` rows that depend on the touches `$1 bigint[]` of this join. `mappings` are all mappings of
/// the row's source table. Returns what [`super::stamp::rows`] returns.
pub fn stamp_dependents(mappings: &[&Mapping], mapping: &Mapping, join: &Join, lock: RowLock) -> String {
    stamp_from(mappings, |unstamped| dependents(mapping, join, unstamped), lock)
}

/// Stamps at most `$2 bigint` rows of one source table that belong to the tenancies of the touches `$1 bigint[]`.
pub fn stamp_tenancy(mappings: &[&Mapping], lock: RowLock) -> String {
    stamp_from(mappings, |unstamped| of_tenancy(mappings, unstamped), lock)
}

/// As [`stamp_tenancy`], for touches of one mapping. `mappings` are all mappings of its source table.
pub fn stamp_mapping(mappings: &[&Mapping], mapping: &Mapping, lock: RowLock) -> String {
    stamp_from(mappings, |unstamped| of_tenancy(&[mapping], unstamped), lock)
}

/// Deletes the touches among `$1 bigint[]` that have nothing left to stamp; rows that were locked keep theirs.
/// Returns `tenancy_id uuid`.
pub fn finish_dependents(mapping: &Mapping, join: &Join) -> String {
    format!(
        "DELETE FROM lockstep.touch u WHERE u.id = ANY($1::bigint[]) AND {} RETURNING u.tenancy_id",
        none_left(|unstamped| dependents(mapping, join, unstamped))
    )
}

/// As [`finish_dependents`], for touches of whole tenancies over all source tables.
pub fn finish_tenancy(sources: &[Vec<&Mapping>]) -> String {
    let left: Vec<_> = sources.iter().map(|mappings| none_left(|unstamped| of_tenancy(mappings, unstamped))).collect();
    format!(
        "DELETE FROM lockstep.touch u WHERE u.id = ANY($1::bigint[]) AND {} RETURNING u.tenancy_id",
        left.join("\n  AND ")
    )
}

/// Tenancies among `$1 uuid[]` with rows of this mapping whose number is lower than `$2 bigint`, or that are of the base.
/// New rows that wait for their first number do not count: theirs will be higher. Returns `tenancy_id uuid`.
pub fn not_stamped_since(mapping: &Mapping) -> String {
    let any = |condition: &str| {
        format!(
            "(SELECT 1 FROM {source} s WHERE {belongs}{filter} AND {condition} LIMIT 1) IS NOT NULL",
            source = table(&mapping.source),
            belongs = row::belongs(mapping, "s"),
            filter = row::and_filter(mapping, "s"),
        )
    };
    format!(
        "SELECT t.\"id\" AS tenancy_id FROM unnest($1::uuid[]) AS w(tenancy_id) JOIN {tenancies} t ON t.\"id\" = w.tenancy_id\nWHERE {lower}\n  OR {base}",
        tenancies = table(&tenancy_table()),
        lower = any(&format!("s.\"{SEQUENCE_COLUMN}\" < $2")),
        base = any(&format!("s.\"{SEQUENCE_COLUMN}\" IS NULL AND NOT s.\"{FLAG_COLUMN}\"")),
    )
}

/// The expression index that finding dependents needs, where the definition asks for one: its columns and predicate.
pub(super) fn dependents_index(mapping: &Mapping, join: &Join) -> (Vec<String>, Option<String>) {
    let mut columns: Vec<_> = row::tenant_columns(&mapping.tenant).iter().map(|column| identifier(column)).collect();
    let bare = |template: &crate::template::Template| {
        template.render(|reference| match reference {
            crate::template::ColumnRef::Source(column) => identifier(column),
            _ => "NULL".to_owned(),
        })
    };
    columns.push(format!("(({})::{})", bare(&join.here), join.match_type.base.postgres_cast()));
    (columns, mapping.filter.as_ref().map(bare))
}
