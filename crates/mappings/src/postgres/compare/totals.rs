//! Rows of the source by groups, to compare many of them by few numbers: how many there are, which numbers they have, and a sum
//! of their hashes.

use lockstep_core::TenancyId;

use super::scope::{bucket, source_bucket};
use super::{COPY, Chosen, Part, Scope, TO_STDOUT, canonical_column, chosen, key_text, part, plain_joins};
use crate::mapping::{Mapping, Tenant};
use crate::postgres::key::slot_names;
use crate::postgres::names::{CONTROL_SCHEMA, identifier, table};
use crate::postgres::row;
use crate::postgres::target::Target;

/// Whether rows are told apart by the bucket of their key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// By location alone.
    Location,
    /// By location and bucket.
    Bucket,
}

/// Rows as binary `COPY` in the order in which they lie, laid out as [`crate::postgres::fetch::page`] lays them out, but that the
/// bucket of the key stands in the place of the number. Whoever reads them adds up the hashes: Postgres would take longer over
/// that than over sending the rows.
pub fn typed(mapping: &Mapping, scope: Scope<'_>, part: Part<'_>, grouping: Grouping) -> String {
    let in_scope = scope.of_tenancy().map_or_else(String::new, |condition| format!(" AND {condition}"));
    format!(
        "{COPY}SELECT t.\"id\", t.\"projectId\", t.\"branchId\", {columns}, {bucket}::int8, 0::int2\nFROM {tenancies} JOIN {source} s ON {belongs}{joins}\nWHERE {chosen}{in_scope}{in_bucket}{TO_STDOUT}",
        columns = row::select_list(mapping, "s"),
        bucket = match grouping {
            Grouping::Location => "0".to_owned(),
            Grouping::Bucket => source_bucket(mapping),
        },
        tenancies = part::tenancies(),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        joins = plain_joins(mapping),
        chosen = part.condition(mapping),
        in_bucket = scope.and_bucket(mapping),
    )
}

/// How many rows there are at each location, as an ordinary query: `project_id`, `branch_id`, `rows bigint`.
///
/// Rows are counted by what says whose they are before that is looked up: there are fewer tenancies than rows.
pub fn counts(mapping: &Mapping, scope: Scope<'_>) -> String {
    let columns: Vec<_> =
        mapping.tenant.columns().into_iter().map(|column| format!("s.{}", identifier(column))).collect();
    let columns = columns.join(", ");
    let in_scope = scope.of_tenancy().map_or_else(String::new, |condition| {
        // A list, where it can be one: of a few tenancies the rows are found by an index.
        match &mapping.tenant {
            Tenant::Column(_) => {
                format!(" AND {columns} IN (SELECT t.\"id\" FROM {} WHERE {condition})", part::tenancies())
            }
            Tenant::ProjectAndBranch { .. } => format!(
                " AND ({columns}) IN (SELECT t.\"projectId\", t.\"branchId\" FROM {} WHERE {condition})",
                part::tenancies()
            ),
        }
    });
    format!(
        "SELECT t.\"projectId\", t.\"branchId\", sum(c.rows)::bigint\nFROM (SELECT {columns}, count(*) AS rows FROM {source} s WHERE TRUE{filter}{in_scope}{in_bucket} GROUP BY {columns}) c\n  JOIN {tenancies} ON {belongs}\nGROUP BY 1, 2",
        source = table(&mapping.source),
        filter = row::and_filter(mapping, "s"),
        in_bucket = scope.and_bucket(mapping),
        tenancies = part::tenancies(),
        belongs = row::belongs(mapping, "c"),
    )
}

/// The sum of the last numbers of the keys that have one above `$1 bigint` and up to `$2 bigint` and none above that, as an ordinary
/// query: `project_id`, `branch_id`, `sum text`.
pub fn numbers(mapping: &Mapping, scope: Scope<'_>) -> String {
    let in_scope = scope.of_tenancy().map_or_else(String::new, |condition| {
        format!(" AND tenancy_id IN (SELECT t.\"id\" FROM {} WHERE {condition})", part::tenancies())
    });
    let key = slot_names(mapping);
    format!(
        "SELECT t.\"projectId\", t.\"branchId\", sum(c.sequence)::text\nFROM (SELECT tenancy_id, max(sequence) AS sequence FROM {CONTROL_SCHEMA}.change WHERE mapping = {target} AND sequence > $1{in_scope} GROUP BY tenancy_id, {key} HAVING max(sequence) <= $2) c\n  JOIN {tenancies} ON t.\"id\" = c.tenancy_id\nGROUP BY 1, 2",
        target = Target::row(mapping).id(),
        tenancies = part::tenancies(),
    )
}

/// The number above which [`numbers`] tell something of ClickHouse's rows (`$1 text`: the mapping, `$2 text`: the destination), as an
/// ordinary query: `floor bigint`. Below it rows may have the number of a fill or of a resync, and tombstones may be gone.
pub const NUMBERS_FROM: &str = "SELECT GREATEST(
  (SELECT floor FROM lockstep.fill WHERE mapping_name = $1 AND destination = $2),
  (SELECT max(floor) FROM lockstep.resync WHERE destination = $2 AND (mappings IS NULL OR $1 = ANY(mappings))),
  (SELECT min(first_sequence) FROM lockstep.change_partition),
  (SELECT max(up_to) FROM lockstep.erasure WHERE destination = $2),
  (SELECT max(p.last_sequence) FROM lockstep.pass p, lockstep.clean_up c
    WHERE c.mapping_name = $1 AND c.destination = $2 AND p.passed_at <= c.cleaned_at),
  CASE WHEN EXISTS (SELECT 1 FROM lockstep.clean_up WHERE mapping_name = $1 AND destination = $2)
    THEN (SELECT min(last_sequence) FROM lockstep.pass) END, 0)";

/// How many rows a tenancy has itself, and the sum of their hashes, as an ordinary query: what [`crate::tenant::compare::totals`] returns of the
/// same rows in its own database.
pub fn own_totals(mapping: &Mapping, owner: TenancyId, scope: Scope<'_>, part: Part<'_>, grouping: Grouping) -> String {
    let condition = format!("{} AND t.\"id\" = '{owner}'::uuid{}", part.condition(mapping), scope.and_bucket(mapping));
    let rows = chosen(
        mapping,
        &Chosen {
            place: "''::text AS project_id, ''::text AS branch_id",
            tenancies: &part::tenancies(),
            joins: &plain_joins(mapping),
            chosen: &condition,
            order: "",
        },
    );
    hashed(mapping, &rows, grouping)
}

/// How many rows a tenancy has itself, as an ordinary query: 0, `rows bigint`, 0.
pub fn own_count(mapping: &Mapping, owner: TenancyId) -> String {
    format!(
        "SELECT 0, count(*), '0' FROM {} JOIN {} s ON {} WHERE t.\"id\" = '{owner}'::uuid{}",
        part::tenancies(),
        table(&mapping.source),
        row::belongs(mapping, "s"),
        row::and_filter(mapping, "s"),
    )
}

/// Counts and hashes over rows `c` of exported values: `bucket int`, `rows bigint`, `sum text`.
///
/// The text of a record tells every value from every other, null from empty too. Of its MD5 64 bits are added up.
pub(crate) fn hashed(mapping: &Mapping, rows: &str, grouping: Grouping) -> String {
    let columns: Vec<_> = mapping.columns.iter().map(|column| canonical_column(mapping, column)).collect();
    let keys = mapping.key_columns().map(|column| key_text(&format!("c.{}", identifier(&column.name))));
    let bucket = match grouping {
        Grouping::Location => "0".to_owned(),
        Grouping::Bucket => bucket(&keys.collect::<Vec<_>>()),
    };
    format!(
        "SELECT {bucket}, count(*), COALESCE(sum(('x' || left(md5(convert_to(ROW({})::text, 'UTF8')), 16))::bit(64)::bigint::numeric), 0)::text\n{rows}\nGROUP BY 1",
        columns.join(", ")
    )
}
