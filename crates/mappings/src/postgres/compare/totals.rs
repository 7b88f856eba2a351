//! Rows of the source by groups, to compare many of them by few numbers: how many there are, which numbers they have, and a sum
//! of their hashes.

use lockstep_core::TenancyId;

use super::scope::bucket;
use super::{Chosen, Part, Scope, canonical, chosen, in_range, key_text, part, plain_joins};
use crate::column_type::{BaseType, ColumnType};
use crate::mapping::{Column, Mapping, Tenant};
use crate::postgres::key::slot_names;
use crate::postgres::names::{CONTROL_SCHEMA, identifier, table};
use crate::postgres::row;
use crate::postgres::target::Target;
use crate::row_hash::{Form, HashSeed};

/// Whether rows are told apart by the bucket of their key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// By location alone.
    Location,
    /// By location and bucket.
    Bucket,
}

/// How many rows there are in each group, and the sum of their hashes, as an ordinary query: `project_id`, `branch_id`, `bucket int`,
/// `rows bigint`, `sum text`.
pub fn content(mapping: &Mapping, scope: Scope<'_>, part: Part<'_>, seed: HashSeed, grouping: Grouping) -> String {
    let in_scope = scope.of_tenancy().map_or_else(String::new, |condition| format!(" AND {condition}"));
    let condition = format!("{}{in_scope}{}", part.condition(mapping), scope.and_bucket(mapping));
    let rows = rows_where(mapping, &condition);
    // Grouped by a short key; where a tenancy is, is looked up afterwards.
    format!(
        "SELECT t.\"projectId\", t.\"branchId\", h.bucket, sum(h.rows)::bigint, sum(h.total)::text\nFROM (SELECT c.sync_tenancy, {bucket} AS bucket, count(*) AS rows, sum({hash}) AS total\n{rows}\nGROUP BY 1, 2) h\n  JOIN {tenancies} ON t.\"id\" = h.sync_tenancy\nGROUP BY 1, 2, 3",
        bucket = bucket_of_row(mapping, grouping),
        hash = hash(mapping, seed),
        tenancies = part::tenancies(),
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
pub fn own_totals(
    mapping: &Mapping,
    owner: TenancyId,
    scope: Scope<'_>,
    part: Part<'_>,
    seed: HashSeed,
    grouping: Grouping,
) -> String {
    let condition = format!("{} AND t.\"id\" = '{owner}'::uuid{}", part.condition(mapping), scope.and_bucket(mapping));
    let rows = rows_where(mapping, &condition);
    hashes(mapping, &rows, seed, grouping)
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
pub(crate) fn hashes(mapping: &Mapping, rows: &str, seed: HashSeed, grouping: Grouping) -> String {
    let (bucket, hash) = (bucket_of_row(mapping, grouping), hash(mapping, seed));
    format!("SELECT {bucket}, count(*), COALESCE(sum({hash}), 0)::text\n{rows}\nGROUP BY 1")
}

/// `FROM` the rows `c` that are to be hashed, as [`chosen`] has them.
fn rows_where(mapping: &Mapping, condition: &str) -> String {
    let (tenancies, joins) = (part::tenancies(), plain_joins(mapping));
    let place = "t.\"id\" AS sync_place";
    chosen(mapping, &Chosen { place, tenancies: &tenancies, joins: &joins, chosen: condition, order: "" })
}

/// The bucket of the key of the row `c`, where rows are told apart by it.
fn bucket_of_row(mapping: &Mapping, grouping: Grouping) -> String {
    let keys = mapping.key_columns().map(|column| key_text(&format!("c.{}", identifier(&column.name))));
    match grouping {
        Grouping::Location => "0".to_owned(),
        Grouping::Bucket => bucket(&keys.collect::<Vec<_>>()),
    }
}

/// The hash of the exported values of the row `c`, as [`crate::row_hash`] says.
fn hash(mapping: &Mapping, HashSeed(seed): HashSeed) -> String {
    mapping.columns.iter().fold(format!("'{seed}'::int8"), |before, column| hashed(column, &before))
}

/// The hash of a column of the row `c` and of those before it.
///
/// The hash `before` is used once: it would be computed as often as it is named. A text is compared by its bytes, whatever its
/// column holds for equal.
fn hashed(column: &Column, before: &str) -> String {
    let (column_type, value) = (column.column_type, format!("c.{}", identifier(&column.name)));
    let ColumnType { base, nullable, .. } = column_type;
    let seed = if nullable { format!("{before} # ({value} IS NULL)::int") } else { before.to_owned() };
    let or = |value: String, blank: &str| if nullable { format!("COALESCE({value}, {blank})") } else { value };
    match Form::of(column_type) {
        Form::Text => {
            let text = canonical(column_type, &value);
            format!("hashtextextended({} COLLATE \"C\", {seed})", or(format!("({text})"), "''"))
        }
        Form::Uuid => format!("uuid_hash_extended({}, {seed})", or(value, BaseType::Uuid.blank())),
        Form::Number(_) => {
            let is_null = if nullable { format!("({value} IS NULL)::int") } else { "0".to_owned() };
            let number = if base == BaseType::Bool { format!("{value}::int") } else { value };
            format!("hashint4extended({is_null}, {before} # {}::int8)", or(number, "0"))
        }
        Form::Moment => {
            let moment = in_range(&or(value, "'2000-01-01'"), base);
            let day = format!("hashint4extended({moment}::date - '2000-01-01'::date, {seed})");
            format!("timestamp_hash_extended(date_trunc('milliseconds', {moment}), {day})")
        }
    }
}
