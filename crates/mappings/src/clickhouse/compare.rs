//! The verifier's own view of ClickHouse; the counterpart of [`crate::postgres::compare`].

use lockstep_core::Location;

use super::{Databases, identifier, literal};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::Scope;

fn canonical(column: &Column) -> String {
    let name = identifier(&column.name);
    match column.column_type.base {
        BaseType::Timestamp => format!("toString(toUnixTimestamp64Milli({name}))"),
        BaseType::Float64 => format!("lower(leftPad(hex(reinterpretAsUInt64({name})), 16, '0'))"),
        BaseType::Text | BaseType::LowCardinality | BaseType::Json => {
            format!("CAST({name}, {})", literal(string_type(column)))
        }
        BaseType::Uuid | BaseType::Bool | BaseType::Int32 | BaseType::Int64 => format!("toString({name})"),
    }
}

fn string_type(column: &Column) -> &'static str {
    if column.column_type.nullable { "Nullable(String)" } else { "String" }
}

/// Every live row as `RowBinary`: `project_id`, `branch_id` (String), each column as canonical text (String, or
/// Nullable(String) where it can be null), then `sync_sequence_id` (Int64); ordered as the source's rows are.
pub fn rows(mapping: &Mapping, databases: &Databases, scope: Scope<'_>) -> String {
    let columns: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| {
            format!(
                "CAST({}, {}) AS {}",
                canonical(column),
                literal(string_type(column)),
                identifier(&format!("c_{}", column.name))
            )
        })
        .collect();
    let keys: Vec<_> = mapping.key_columns().map(|column| identifier(&format!("c_{}", column.name))).collect();
    let conditions =
        [Some("sync_is_deleted = 0".to_owned()), in_locations(scope.locations), in_keys(scope.keys, &keys)];
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    format!(
        "SELECT project_id, branch_id, {columns}, sync_sequence_id\nFROM {raw}.{name} FINAL\nWHERE {conditions}\nORDER BY project_id, branch_id, {keys}\nFORMAT RowBinary",
        columns = columns.join(", "),
        raw = identifier(&databases.raw),
        name = identifier(mapping.name.as_str()),
        conditions = conditions.join(" AND "),
        keys = keys.join(", "),
    )
}

fn location(location: &Location) -> String {
    format!("{}, {}", literal(&location.project_id), literal(&location.branch_id))
}

fn in_locations(locations: Option<&[Location]>) -> Option<String> {
    let list: Vec<_> = locations?.iter().map(|at| format!("({})", location(at))).collect();
    Some(if list.is_empty() { "0".to_owned() } else { format!("(project_id, branch_id) IN ({})", list.join(", ")) })
}

fn in_keys(wanted: Option<&[(Location, Vec<String>)]>, keys: &[String]) -> Option<String> {
    let list: Vec<_> = wanted?
        .iter()
        .map(|(at, key)| {
            let values: Vec<_> = key.iter().map(|value| literal(value)).collect();
            format!("({}, {})", location(at), values.join(", "))
        })
        .collect();
    Some(if list.is_empty() {
        "0".to_owned()
    } else {
        format!("(project_id, branch_id, {}) IN ({})", keys.join(", "), list.join(", "))
    })
}
