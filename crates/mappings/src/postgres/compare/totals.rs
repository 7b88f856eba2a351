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
use crate::row_hash::HashSeed;

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
    let rows = chosen(
        mapping,
        &Chosen {
            place: "t.\"id\" AS sync_place",
            tenancies: &part::tenancies(),
            joins: &plain_joins(mapping),
            chosen: &condition,
            order: "",
        },
    );
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
    let rows = chosen(
        mapping,
        &Chosen {
            place: "t.\"id\" AS sync_place",
            tenancies: &part::tenancies(),
            joins: &plain_joins(mapping),
            chosen: &condition,
            order: "",
        },
    );
    hashed(mapping, &rows, seed, grouping)
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
pub(crate) fn hashed(mapping: &Mapping, rows: &str, seed: HashSeed, grouping: Grouping) -> String {
    let (bucket, hash) = (bucket_of_row(mapping, grouping), hash(mapping, seed));
    format!("SELECT {bucket}, count(*), COALESCE(sum({hash}), 0)::text\n{rows}\nGROUP BY 1")
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
    let columns: Vec<_> = mapping.columns.iter().map(hashed_value).collect();
    let columns = columns.join(", ");
    format!("hash_record_extended(ROW(int8send(hash_record_extended(ROW({columns}), {seed}))), {seed})")
}

/// A value of the row `c` whose bytes are hashed. A text is compared by its bytes, whatever its column holds for equal.
fn hashed_value(column: &Column) -> String {
    let (value, ColumnType { base, array, .. }) = (format!("c.{}", identifier(&column.name)), column.column_type);
    let moment = |sent: &str| format!("CASE WHEN {value} IS NOT NULL THEN timestamp_send({sent}) END");
    match base {
        _ if array.is_some() => format!("({}) COLLATE \"C\"", canonical(column.column_type, &value)),
        BaseType::Uuid | BaseType::Bytes => value,
        BaseType::Bool => format!("boolsend({value})"),
        BaseType::Int16 => format!("int2send({value})"),
        BaseType::Int32 => format!("int4send({value})"),
        BaseType::Int64 => format!("int8send({value})"),
        BaseType::Float32 => format!("float4send({value})"),
        BaseType::Float64 => format!("float8send({value})"),
        BaseType::Timestamp => moment(&format!("date_trunc('milliseconds', {})", in_range(&value, base))),
        BaseType::TimestampMicros => moment(&in_range(&value, base)),
        _ => format!("({}) COLLATE \"C\"", canonical(column.column_type, &value)),
    }
}
