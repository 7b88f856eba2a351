//! What erasure and pruning ask of the source.

use lockstep_core::TenancyId;

use super::compare::{Key, at_wanted, canonical, key_is_wanted, wanted};
use super::names::{CONTROL_SCHEMA, capture_columns, deleted_row_table, tenancy_table};
use super::quote::{literal, table};
use super::row;
use crate::mapping::Mapping;
use crate::set::MappingSet;

/// How long what was read may still be written, as an interval. After a change the longer of two values counts until
/// nothing can be under way that was read under it.
pub fn late_write_limit() -> String {
    format!(
        "(SELECT CASE WHEN clock_timestamp() < changed_at + previous THEN GREATEST(value, previous) ELSE value END FROM {CONTROL_SCHEMA}.setting WHERE name = 'late_write_limit')"
    )
}

/// How long whoever removes rows waits, as an interval: longer than anything that was read before can still be written,
/// the part of the limit that a worker gives the destination included.
pub fn erasure_wait() -> String {
    format!("{} * 1.5", late_write_limit())
}

/// The condition that the erasure of the tenancy `tenancy_id` (an expression), which is gone, is still on its way: its
/// time has not come, or came only a while ago.
pub(super) fn is_being_erased(tenancy_id: &str) -> String {
    let due = format!("clock_timestamp() - {} - interval '10 minutes'", erasure_wait());
    format!(
        "(EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location g WHERE g.tenancy_id = {tenancy_id} AND g.gone_at > {due}) OR EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.erasure e WHERE e.tenancy_id = {tenancy_id} AND e.finished_at IS NULL AND e.requested_at > {due}))"
    )
}

/// Those of `keys` that no row of the source has, at their place, other than rows of the tenancies `except`: each as
/// canonical text, one text column for each key column.
pub fn dead_keys(mapping: &Mapping, keys: &[Key], except: &[TenancyId]) -> String {
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    let columns: Vec<_> = mapping
        .key_columns()
        .zip(1..)
        .map(|(column, index)| canonical(column.column_type.base, &format!("w.k{index}")))
        .collect();
    format!(
        "SELECT {columns}\nFROM {wanted}\nWHERE NOT EXISTS (SELECT 1 FROM {tenancies} t JOIN {source} s ON {belongs}\n  WHERE t.\"id\" <> ALL ('{{{except}}}'::uuid[]) AND {here} AND {same}{filter})",
        columns = columns.join(", "),
        wanted = wanted(mapping, keys),
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        except = except.join(","),
        here = at_wanted("t"),
        same = key_is_wanted(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}

/// The next `$2 bigint` tenancies after `$1 uuid` that have tombstones, in order, and whether nothing of each is known any
/// more: it is gone, and was erased. Steps from one to the next over an index, however many tombstones each has.
pub fn tenancies_with_tombstones() -> String {
    let next = |after: &str| {
        format!(
            "SELECT d.\"tenancyId\" FROM {} d WHERE d.\"tenancyId\" > {after} ORDER BY d.\"tenancyId\" LIMIT 1",
            table(&deleted_row_table())
        )
    };
    format!(
        "WITH RECURSIVE w(id) AS (({first})\n  UNION ALL SELECT ({next}) FROM w WHERE w.id IS NOT NULL)\nSELECT w.id, NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = w.id) AND NOT EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location l WHERE l.tenancy_id = w.id)\nFROM w WHERE w.id IS NOT NULL LIMIT $2",
        first = next("$1"),
        next = next("w.id"),
        tenancies = table(&tenancy_table()),
    )
}

/// The condition that the tombstone `d` is one of Lockstep's own: keys alone. Other tools keep whole rows in the same
/// table; those stay.
fn is_ours() -> &'static str {
    "d.\"data\" IS NULL AND d.\"startedFulfillingAt\" IS NULL"
}

/// Deletes at most `$5 bigint` tombstones of the tenancies `$1 uuid[]` and tables `$2 text[]` that are stamped with a
/// number up to `$3 bigint[]` and were recorded more than `$4 double precision` seconds ago.
pub fn prune_tombstones() -> String {
    let deleted = table(&deleted_row_table());
    let (sequence, flag) = capture_columns("d");
    format!(
        "DELETE FROM {deleted} x USING (\n  SELECT p.\"id\" FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS w(tenancy_id, table_name, passed)\n  CROSS JOIN LATERAL (SELECT d.\"id\" FROM {deleted} d WHERE d.\"tenancyId\" = w.tenancy_id AND d.\"tableName\" = w.table_name AND {sequence} <= w.passed AND NOT {flag}\n    AND {ours} AND d.\"deletedAt\" < (now() - make_interval(secs => $4)) AT TIME ZONE 'UTC' LIMIT $5) p\n  LIMIT $5) p\nWHERE x.\"id\" = p.\"id\"",
        ours = is_ours(),
    )
}

/// Deletes at most `$2 bigint` tombstones of the tenancy `$1 uuid`, stamped or not, if it is gone.
pub fn delete_tombstones(set: &MappingSet) -> String {
    let names: Vec<_> = set.by_source().into_keys().map(|source| literal(&source.name)).collect();
    let deleted = table(&deleted_row_table());
    format!(
        "DELETE FROM {deleted} x USING (SELECT d.\"id\" FROM {deleted} d WHERE d.\"tenancyId\" = $1 AND d.\"tableName\" IN ({names}) AND {ours}\n  AND NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = d.\"tenancyId\") LIMIT $2) p\nWHERE x.\"id\" = p.\"id\"",
        names = names.join(", "),
        ours = is_ours(),
        tenancies = table(&tenancy_table()),
    )
}
