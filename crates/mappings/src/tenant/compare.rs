//! Reading a tenant's table back: canonical text as [`crate::postgres::compare`] defines it, in the same order.

use super::{literal, table};
use crate::column_type::BaseType;
use crate::mapping::{Column, Mapping};
use crate::postgres::compare::{Grouping, Key, bucket, canonical_column, hashed, list};
use crate::postgres::identifier;
use crate::row_hash::HashSeed;

/// Which rows are compared.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All of them, in the order of the bytes of their keys.
    All,
    /// Those of these buckets, in the order of the bytes of their keys.
    Buckets(&'a [u8]),
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
    let order = match rows {
        Rows::All | Rows::Buckets(_) => {
            let order: Vec<_> = mapping.key_columns().map(order).collect();
            format!("\nORDER BY {}", order.join(", "))
        }
        Rows::Keys(_) => String::new(),
    };
    format!(
        "COPY (\nSELECT {columns}\n{chosen}{order}\n) TO STDOUT (FORMAT binary)",
        columns = columns.join(", "),
        chosen = chosen(mapping, rows),
    )
}

/// `FROM` the chosen rows `c`, as they are exported.
fn chosen(mapping: &Mapping, rows: Rows<'_>) -> String {
    let exported: Vec<_> = mapping
        .columns
        .iter()
        .map(|column| {
            let name = identifier(&column.name);
            format!("{} AS {name}", column.column_type.export(&format!("d.{name}")))
        })
        .collect();
    let condition = match rows {
        Rows::All => String::new(),
        Rows::Buckets(buckets) => {
            let values = mapping.key_columns().map(|column| format!("(d.{})::text", identifier(&column.name)));
            format!(" WHERE {} = ANY('{{{}}}'::int[])", bucket(&values.collect::<Vec<_>>()), list(buckets))
        }
        Rows::Keys(keys) => format!(" WHERE {}", key_is_wanted(mapping, keys)),
    };
    format!("FROM (SELECT {} FROM {} d{condition}) c", exported.join(", "), table(mapping))
}

/// How many rows there are, and the sum of their hashes, as an ordinary query: what [`crate::postgres::compare::own_totals`] returns.
pub fn totals(mapping: &Mapping, rows: Rows<'_>, seed: HashSeed, grouping: Grouping) -> String {
    hashed(mapping, &chosen(mapping, rows), seed, grouping)
}

/// How many rows there are, as an ordinary query: 0, `rows bigint`, 0.
pub fn count(mapping: &Mapping) -> String {
    format!("SELECT 0, count(*), '0' FROM {}", table(mapping))
}
