//! Making rows of a canary tenancy wrong on purpose, to see that the verifier finds them. Nothing else uses this.

use lockstep_core::SequenceId;

use super::compare::in_keys;
use super::{Databases, identifier, literal, table_name};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::Key;

/// What is done to a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant<'a> {
    /// It becomes a tombstone with the number that it has.
    Tombstone,
    /// It gets another value under the number that it has.
    OtherValue,
    /// It gets another value under a lower number.
    Older,
    /// It gets a number that high.
    Number(SequenceId),
    /// Its values are shown once more, under another key, with the number 1.
    Copy(&'a Key),
}

/// A column that is no part of the key, and another value for it; none where no column is of a type that has one.
fn other_value(mapping: &Mapping) -> Option<(usize, String)> {
    let other = |column: &Column| {
        let name = identifier(&column.name);
        let value = match column.column_type.base {
            _ if column.column_type.array.is_some() => return None,
            BaseType::Text => format!("concat(toString({name}), ' ')"),
            BaseType::Bool => format!("toUInt8(1 - {name})"),
            BaseType::Int32 | BaseType::Int64 => format!("{name} + 1"),
            BaseType::Timestamp => format!("addMilliseconds({name}, 1)"),
            _ => return None,
        };
        Some(if column.column_type.nullable { format!("ifNull({value}, {})", blank(column)) } else { value })
    };
    let columns = mapping.columns.iter().enumerate().filter(|(place, _)| !mapping.key.contains(place));
    columns.filter_map(|(place, column)| Some((place, other(column)?))).next()
}

fn blank(column: &Column) -> &'static str {
    match column.column_type.base {
        BaseType::Text => "' '",
        BaseType::Timestamp => "toDateTime64(1, 3, 'UTC')",
        _ => "1",
    }
}

/// Whether rows of a mapping can be made wrong so: its key is of ids alone, and a column has another value.
pub fn can_plant(mapping: &Mapping) -> bool {
    mapping.key_columns().all(|column| column.column_type.base == BaseType::Uuid) && other_value(mapping).is_some()
}

/// The statements that make the row with a key wrong, one after the other; none where [`can_plant`] says no.
pub fn plant(mapping: &Mapping, databases: &Databases, key: &Key, what: Plant<'_>) -> Vec<String> {
    let Some((place, other)) = other_value(mapping).filter(|_| can_plant(mapping)) else { return Vec::new() };
    let table = format!("{}.{}", identifier(&databases.raw), identifier(&table_name(mapping)));
    let mut values: Vec<String> = mapping.columns.iter().map(|column| identifier(&column.name)).collect();
    let (mut number, mut deleted) = ("sync_sequence_id".to_owned(), "sync_is_deleted");
    match what {
        Plant::Tombstone => deleted = "1",
        Plant::OtherValue => values[place] = other,
        Plant::Older => {
            values[place] = other;
            number = "sync_sequence_id - 1".to_owned();
        }
        Plant::Number(high) => number = high.to_string(),
        Plant::Copy(to) => {
            number = "1".to_owned();
            for (column, value) in mapping.key.iter().zip(&to.values) {
                values[*column] = format!("toUUID({})", literal(value));
            }
        }
    }
    let names: Vec<_> = mapping.columns.iter().map(|column| identifier(&column.name)).collect();
    let names = names.join(", ");
    let there = in_keys(mapping, std::slice::from_ref(key));
    let insert = format!(
        "INSERT INTO {table} (project_id, branch_id, {names}, sync_sequence_id, sync_is_deleted)\nSELECT project_id, branch_id, {}, {number}, {deleted} FROM {table} FINAL WHERE {there}",
        values.join(", ")
    );
    match what {
        // What it was goes, so that the lower number is seen.
        Plant::Older => vec![
            insert,
            format!(
                "DELETE FROM {table} WHERE {there} AND sync_sequence_id = (SELECT max(sync_sequence_id) FROM {table} WHERE {there})"
            ),
        ],
        _ => vec![insert],
    }
}

/// Takes a planted number away again: the rows of a key above `last`.
pub fn unplant(mapping: &Mapping, databases: &Databases, key: &Key, last: SequenceId) -> String {
    format!(
        "DELETE FROM {}.{} WHERE {} AND sync_sequence_id > {last}",
        identifier(&databases.raw),
        identifier(&table_name(mapping)),
        in_keys(mapping, std::slice::from_ref(key))
    )
}
