//! The verifier's own view of ClickHouse; the counterpart of [`crate::postgres::compare`].

use lockstep_core::Location;

use super::{Databases, identifier, literal, table_name};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::{Key, Scope};

/// A reader that is not in a hurry: two threads, and a sort that goes to disk before it takes much memory.
const SETTINGS: &str = "max_threads = 2, max_memory_usage = 4000000000, max_bytes_before_external_sort = 500000000, max_bytes_ratio_before_external_sort = 0, optimize_read_in_order = 1";

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
    let columns: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| format!("CAST({}, {})", canonical(column), literal(string_type(column))))
        .collect();
    let in_scope = match scope {
        Scope::All => None,
        Scope::Locations(locations) => Some(in_locations(locations)),
        Scope::Keys(keys) => Some(in_keys(mapping, keys)),
    };
    let conditions = [Some("sync_is_deleted = 0".to_owned()), in_scope, after.map(|key| behind(mapping, key))];
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
pub fn versions(mapping: &Mapping, databases: &Databases, keys: &[Key]) -> String {
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
