//! A page of a fill: what the tenant's table has between two keys, and the source has not, goes.

use super::page::is_not_staged;
use super::{literal, table};
use crate::mapping::{Column, Mapping};
use crate::postgres::identifier;

/// The keys that a page has passed: those behind `after`, up to `last`. From the first, or to the end, where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range<'a> {
    /// The last key of the page before.
    pub after: Option<&'a [String]>,
    /// The last key of the page.
    pub last: Option<&'a [String]>,
}

fn is_text(column: &Column) -> bool {
    column.column_type.base.postgres_cast() == "text"
}

/// The key of the row `d` in the order that the source is read in: texts by their bytes.
fn key(mapping: &Mapping) -> String {
    let one = |column: &Column| {
        let name = identifier(&column.name);
        if is_text(column) { format!("d.{name} COLLATE \"C\"") } else { format!("d.{name}") }
    };
    mapping.key_columns().map(one).collect::<Vec<_>>().join(", ")
}

/// A comparison of the key, and before it one of its first column alone, for which the primary key is an index: of all of
/// them it is none where a text is ordered otherwise.
fn compared(mapping: &Mapping, operator: &str, values: &[String]) -> String {
    let typed: Vec<_> = mapping
        .key_columns()
        .zip(values)
        .map(|(column, value)| format!("{}::{}", literal(value), column.column_type.postgres()))
        .collect();
    let whole = format!("ROW({}) {operator} ROW({})", key(mapping), typed.join(", "));
    match mapping.key_columns().next() {
        Some(first) if !is_text(first) => {
            let inclusive = format!("{}=", operator.trim_end_matches('='));
            format!("d.{} {inclusive} {} AND {whole}", identifier(&first.name), typed[0])
        }
        _ => whole,
    }
}

/// Deletes the rows in a range of keys whose keys are not staged.
pub fn remove_absent(mapping: &Mapping, range: Range<'_>) -> String {
    let after = range.after.map(|after| compared(mapping, ">", after));
    let last = range.last.map(|last| compared(mapping, "<=", last));
    let conditions: Vec<_> = after.into_iter().chain(last).chain([is_not_staged(mapping)]).collect();
    format!("DELETE FROM {} d WHERE {}", table(mapping), conditions.join(" AND "))
}
