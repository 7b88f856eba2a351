//! Reading a tenant's table back: canonical text as [`crate::postgres::compare`] defines it, in the same order.

use super::{literal, table};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::{Key, canonical_column};
use crate::postgres::identifier;

/// Which rows are compared.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All of them, in the order of the bytes of their keys.
    All,
    /// Those with these keys, in no order.
    Keys(&'a [Key]),
}

/// The key in the order of the bytes of its canonical text.
fn order(column: &Column) -> String {
    let name = format!("c.{}", identifier(&column.name));
    match column.column_type.base {
        BaseType::Uuid => name,
        _ => format!("({name})::text COLLATE \"C\""),
    }
}

fn key_is_wanted(mapping: &Mapping, keys: &[Key]) -> String {
    let one = |key: &Key| {
        let same = mapping.key_columns().zip(&key.values).map(|(column, value)| {
            format!("d.{} = {}::{}", identifier(&column.name), literal(value), column.column_type.postgres())
        });
        format!("({})", same.collect::<Vec<_>>().join(" AND "))
    };
    if keys.is_empty() { "FALSE".to_owned() } else { keys.iter().map(one).collect::<Vec<_>>().join(" OR ") }
}

/// Rows of the table as binary `COPY`: each column as canonical text, in order.
pub fn rows(mapping: &Mapping, rows: Rows<'_>) -> String {
    let columns: Vec<_> = mapping.columns.iter().map(|column| canonical_column(mapping, column)).collect();
    let exported: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| {
            let name = identifier(&column.name);
            format!("{} AS {name}", column.column_type.export(&format!("d.{name}")))
        })
        .collect();
    let (chosen, order) = match rows {
        Rows::All => (String::new(), {
            let order: Vec<_> = mapping.key_columns().map(order).collect();
            format!("\nORDER BY {}", order.join(", "))
        }),
        Rows::Keys(keys) => (format!(" WHERE {}", key_is_wanted(mapping, keys)), String::new()),
    };
    format!(
        "COPY (\nSELECT {columns}\nFROM (SELECT {exported} FROM {table} d{chosen}) c{order}\n) TO STDOUT (FORMAT binary)",
        columns = columns.join(", "),
        exported = exported.join(", "),
        table = table(mapping),
    )
}
