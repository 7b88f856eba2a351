//! The verifier's own view of ClickHouse; the counterpart of [`crate::postgres::compare`].

use lockstep_core::{Location, SequenceId};

use super::{Databases, identifier, literal, table_name};
use crate::codec::POSTGRES_EPOCH_US;
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::{Grouping, Key, Scope, list};
use crate::row_hash::{Form, HashSeed};

/// A reader that is not in a hurry: two threads, and a sort that goes to disk before it takes much memory.
const SETTINGS: &str = "max_threads = 2, max_memory_usage = 4000000000, max_bytes_before_external_sort = 500000000, max_bytes_ratio_before_external_sort = 0, optimize_read_in_order = 1";

/// What is added up of a group of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// How many live rows there are, and the sum of the numbers of all rows, tombstones too, above one number and up to another.
    Versions {
        /// The number above which they count.
        above: SequenceId,
        /// The last that counts.
        through: SequenceId,
    },
    /// How many live rows there are, and the sum of their hashes, as [`crate::row_hash`] has them.
    Content(HashSeed),
}

/// A column as canonical text. The variable of the array's function has a name that no exported column has.
pub(super) fn canonical(column: &Column) -> String {
    let (name, base) = (identifier(&column.name), column.column_type.base);
    let Some(elements) = column.column_type.array else { return canonical_one(base, &name) };
    let kind = if elements.nullable { "Nullable(String)" } else { "String" };
    let text = format!("CAST({}, '{kind}')", canonical_one(base, "sync_element"));
    format!(
        "arrayStringConcat(arrayMap(sync_element -> ifNull(concat(toString(length({text})), ':', {text}), 'n'), {name}))"
    )
}

fn canonical_one(base: BaseType, value: &str) -> String {
    match base {
        BaseType::Timestamp => format!("toString(toUnixTimestamp64Milli({value}))"),
        BaseType::TimestampMicros => format!("toString(toUnixTimestamp64Micro({value}))"),
        BaseType::Float32 => format!("lower(leftPad(hex(reinterpretAsUInt32({value})), 8, '0'))"),
        BaseType::Float64 => format!("lower(leftPad(hex(reinterpretAsUInt64({value})), 16, '0'))"),
        BaseType::Bytes => format!("lower(hex({value}))"),
        BaseType::Text
        | BaseType::LowCardinality
        | BaseType::Json
        | BaseType::Time
        | BaseType::Interval
        | BaseType::Numeric
        | BaseType::Inet => value.to_owned(),
        BaseType::Uuid
        | BaseType::Bool
        | BaseType::Date
        | BaseType::Int16
        | BaseType::Int32
        | BaseType::Int64
        | BaseType::Decimal { .. } => format!("toString({value})"),
    }
}

fn string_type(column: &Column) -> &'static str {
    if column.column_type.nullable { "Nullable(String)" } else { "String" }
}

/// Sorts as the canonical text does, byte by byte. A UUID compares by its halves here: its bytes do not.
pub(super) fn order(column: &Column) -> String {
    match column.column_type.base {
        BaseType::Uuid => format!("UUIDStringToNum(toString({}))", identifier(&column.name)),
        _ => format!("CAST({}, 'String')", canonical(column)),
    }
}

/// Every live row as `RowBinary`: `project_id`, `branch_id` (String), each column as canonical text (String, or
/// Nullable(String) where it can be null); ordered as the source's rows are.
///
/// `after` leaves out everything up to and with that key: to go on where a stream broke off.
pub fn rows(mapping: &Mapping, databases: &Databases, scope: Scope<'_>, after: Option<&Key>) -> String {
    let columns: Vec<_> = mapping.columns.iter().map(text).collect();
    let conditions =
        [Some("sync_is_deleted = 0".to_owned()), is_in(mapping, scope), after.map(|key| behind(mapping, key))];
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    let order: Vec<_> = mapping.key_columns().map(order).collect();
    format!(
        "SELECT project_id, branch_id, {columns}\nFROM {raw}.{name} FINAL\nWHERE {conditions}\nORDER BY project_id, branch_id, {order}\nSETTINGS {SETTINGS}\nFORMAT RowBinary",
        columns = columns.join(", "),
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        conditions = conditions.join(" AND "),
        order = order.join(", "),
    )
}

/// The condition that a row is in the scope, where that is less than all.
fn is_in(mapping: &Mapping, scope: Scope<'_>) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Projects(projects) => {
            let first = format!("project_id >= {}", literal(&projects.first));
            let end =
                projects.end.as_ref().map_or_else(String::new, |end| format!(" AND project_id < {}", literal(end)));
            (!projects.is_all()).then(|| format!("{first}{end}"))
        }
        Scope::Locations(locations) => Some(in_locations(locations)),
        Scope::Buckets(location, buckets) => Some(format!(
            "{} AND {} IN ({})",
            in_locations(std::slice::from_ref(location)),
            bucket(mapping),
            list(buckets)
        )),
        Scope::Keys(keys) => Some(in_keys(mapping, keys)),
    }
}

/// The bucket of a key, as [`crate::postgres::compare`] has it.
fn bucket(mapping: &Mapping) -> String {
    let values: Vec<_> = mapping.key_columns().map(|column| format!("CAST({}, 'String')", canonical(column))).collect();
    let text = if let [one] = &values[..] { one.clone() } else { format!("concat({})", values.join(", '\\x01', ")) };
    format!("reinterpretAsUInt8(MD5({text}))")
}

fn bucket_by(mapping: &Mapping, grouping: Grouping) -> String {
    match grouping {
        Grouping::Location => "toUInt8(0)".to_owned(),
        Grouping::Bucket => bucket(mapping),
    }
}

/// Counts of live rows of the scope by location, and sums of the numbers of all rows, tombstones too, above one number and up to
/// another: `project_id`, `branch_id` (String), `rows` (UInt64), `sum` (Int128), as `RowBinary`.
///
/// Without `FINAL` rows that were not merged yet would count twice.
pub fn numbers(
    mapping: &Mapping,
    databases: &Databases,
    scope: Scope<'_>,
    above: SequenceId,
    through: SequenceId,
) -> String {
    format!(
        "SELECT project_id, branch_id, toUInt64(countIf(sync_is_deleted = 0)), toInt128(sumIf(toInt128(sync_sequence_id), sync_sequence_id > {above} AND sync_sequence_id <= {through}))\nFROM {raw}.{name} FINAL\nWHERE {in_scope}\nGROUP BY project_id, branch_id\nSETTINGS {SETTINGS}\nFORMAT RowBinary",
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        in_scope = is_in(mapping, scope).unwrap_or_else(|| "1".to_owned()),
    )
}

/// Live rows of the scope, in no order: `project_id`, `branch_id` (String), `bucket` (UInt8), then each column in the
/// [`Form`](crate::row_hash::Form) of its type behind a byte that says whether it is null, where it can be; as `RowBinary`.
pub fn content(mapping: &Mapping, databases: &Databases, scope: Scope<'_>, grouping: Grouping) -> String {
    let columns: Vec<_> = mapping.columns.iter().map(hashed_value).collect();
    let conditions = [Some("sync_is_deleted = 0".to_owned()), is_in(mapping, scope)];
    format!(
        "SELECT project_id, branch_id, {bucket}, {columns}\nFROM {raw}.{name} FINAL\nWHERE {conditions}\nSETTINGS {SETTINGS}\nFORMAT RowBinary",
        bucket = bucket_by(mapping, grouping),
        columns = columns.join(", "),
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        conditions = conditions.into_iter().flatten().collect::<Vec<_>>().join(" AND "),
    )
}

/// A column in the form of its type.
fn hashed_value(column: &Column) -> String {
    let name = identifier(&column.name);
    match Form::of(column.column_type) {
        Form::Text => text(column),
        Form::Moment => format!("toUnixTimestamp64Milli({name}) * 1000 - {POSTGRES_EPOCH_US}"),
        Form::Number(_) | Form::Uuid => name,
    }
}

/// A column as canonical text of a type that says whether it can be null.
fn text(column: &Column) -> String {
    format!("CAST({}, {})", canonical(column), literal(string_type(column)))
}

/// What is known of keys besides their columns: location and key as [`rows`] gives them, `version` (Int64, of the row that counts),
/// `is_deleted` (UInt8) and `copies` (UInt64, of live rows that `FINAL` leaves), as `RowBinary`.
pub fn versions(mapping: &Mapping, databases: &Databases, keys: &[Key]) -> String {
    let values: Vec<_> = mapping.key_columns().map(|column| format!("CAST({}, 'String')", canonical(column))).collect();
    let groups: Vec<_> = (1..=values.len() + 2).map(|index| index.to_string()).collect();
    format!(
        "SELECT project_id, branch_id, {values}, max(sync_sequence_id), toUInt8(argMax(sync_is_deleted, sync_sequence_id)), toUInt64(countIf(sync_is_deleted = 0))\nFROM {raw}.{name} FINAL\nWHERE {keys}\nGROUP BY {groups}\nSETTINGS {SETTINGS}\nFORMAT RowBinary",
        values = values.join(", "),
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        keys = in_keys(mapping, keys),
        groups = groups.join(", "),
    )
}

/// Rows of the scope with a number above `head`, at most `limit` of them, as [`rows`] gives their location and key, and the
/// number itself (Int64).
pub fn ahead(mapping: &Mapping, databases: &Databases, scope: Scope<'_>, head: SequenceId, limit: usize) -> String {
    let values: Vec<_> = mapping.key_columns().map(|column| format!("CAST({}, 'String')", canonical(column))).collect();
    let conditions: Vec<_> =
        [Some(format!("sync_sequence_id > {head}")), is_in(mapping, scope)].into_iter().flatten().collect();
    format!(
        "SELECT project_id, branch_id, {values}, max(sync_sequence_id)\nFROM {raw}.{name}\nWHERE {conditions}\nGROUP BY {groups}\nLIMIT {limit}\nSETTINGS {SETTINGS}\nFORMAT RowBinary",
        values = values.join(", "),
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        groups = (1..=values.len() + 2).map(|index| index.to_string()).collect::<Vec<_>>().join(", "),
        conditions = conditions.join(" AND "),
    )
}

fn location(location: &Location) -> String {
    format!("{}, {}", literal(&location.project_id), literal(&location.branch_id))
}

pub(super) fn in_locations(locations: &[Location]) -> String {
    let list: Vec<_> = locations.iter().map(|at| format!("({})", location(at))).collect();
    if list.is_empty() { "0".to_owned() } else { format!("(project_id, branch_id) IN ({})", list.join(", ")) }
}

/// On the columns themselves, whose index serves; ClickHouse reads each literal as the type of its column. Not on a day: the
/// source may have one that this type does not hold, and the whole statement would be refused.
pub(super) fn in_keys(mapping: &Mapping, keys: &[Key]) -> String {
    let list: Vec<_> = keys
        .iter()
        .map(|key| {
            let values: Vec<_> = key.values.iter().map(|value| literal(value)).collect();
            format!("({}, {})", location(&key.location), values.join(", "))
        })
        .collect();
    let columns: Vec<_> = mapping.key_columns().map(asked).collect();
    if list.is_empty() {
        "0".to_owned()
    } else {
        format!("(project_id, branch_id, {}) IN ({})", columns.join(", "), list.join(", "))
    }
}

/// What a value of the key is compared with.
fn asked(column: &Column) -> String {
    match column.column_type.base {
        BaseType::Date => order(column),
        _ => identifier(&column.name),
    }
}

/// What the table has of keys, tombstones and old versions too: `project_id`, `branch_id`, the highest number, and how many
/// rows, of each place.
pub fn versions_of_keys(mapping: &Mapping, databases: &Databases, keys: &[Key]) -> String {
    format!(
        "SELECT project_id, branch_id, max(sync_sequence_id), count()\nFROM {raw}.{name}\nWHERE {keys}\nGROUP BY project_id, branch_id",
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        keys = in_keys(mapping, keys),
    )
}

/// Places at which the table has the key, in whatever version: `project_id`, `branch_id`, at most `limit`. The columns of the key
/// are read whole.
pub fn places(mapping: &Mapping, databases: &Databases, key: &[String], limit: usize) -> String {
    let same = mapping.key_columns().zip(key).map(|(column, value)| format!("{} = {}", asked(column), literal(value)));
    format!(
        "SELECT DISTINCT project_id, branch_id\nFROM {raw}.{name}\nWHERE {same}\nLIMIT {limit}\nSETTINGS max_threads = 2",
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        same = same.collect::<Vec<_>>().join(" AND "),
    )
}

pub(super) fn behind(mapping: &Mapping, key: &Key) -> String {
    let order: Vec<_> = mapping.key_columns().map(order).collect();
    let values: Vec<_> = mapping
        .key_columns()
        .zip(&key.values)
        .map(|(column, value)| match column.column_type.base {
            BaseType::Uuid => format!("UUIDStringToNum({})", literal(value)),
            _ => literal(value),
        })
        .collect();
    format!(
        "project_id >= {} AND (project_id, branch_id, {}) > ({}, {})",
        literal(&key.location.project_id),
        order.join(", "),
        location(&key.location),
        values.join(", ")
    )
}
