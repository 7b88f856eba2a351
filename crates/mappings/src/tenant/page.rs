//! A page: its rows and the keys of what is gone are copied into temporary tables, and from there written in two statements.

use super::{columns, same_key, table};
use crate::mapping::{Column, Mapping};
use crate::postgres::identifier;

const ROWS: &str = "pg_temp.lockstep_rows";
const KEYS: &str = "pg_temp.lockstep_keys";

/// The key's columns in the order of the mapping's, as [`crate::codec::append_copy_key`] writes them.
fn keys_in_order(mapping: &Mapping) -> impl Iterator<Item = &Column> {
    mapping.columns.iter().filter(|column| mapping.is_key(column))
}

fn stage<'a>(name: &str, columns: impl Iterator<Item = &'a Column>) -> String {
    let columns: Vec<_> =
        columns.map(|column| format!("{} {}", identifier(&column.name), column.column_type.staged())).collect();
    format!("CREATE TEMPORARY TABLE {name} ({}) ON COMMIT DROP", columns.join(", "))
}

/// A table for the rows of a page, until the end of the transaction.
pub fn stage_rows(mapping: &Mapping) -> String {
    stage(ROWS, mapping.columns.iter())
}

/// A table for keys of a page, until the end of the transaction.
pub fn stage_keys(mapping: &Mapping) -> String {
    stage(KEYS, keys_in_order(mapping))
}

fn copy<'a>(into: &str, of: impl Iterator<Item = &'a Column>) -> String {
    format!("COPY {into} ({}) FROM STDIN (FORMAT binary)", columns("", of))
}

/// Fills the table of [`stage_rows`].
pub fn copy_rows(mapping: &Mapping) -> String {
    copy(ROWS, mapping.columns.iter())
}

/// Fills the table of [`stage_keys`].
pub fn copy_keys(mapping: &Mapping) -> String {
    copy(KEYS, keys_in_order(mapping))
}

/// Whether rows can be copied straight into the table: no column has to be cast.
pub fn is_direct(mapping: &Mapping) -> bool {
    mapping.columns.iter().all(|column| !column.column_type.base.is_cast_there())
}

/// Copies rows straight into the table.
pub fn copy_direct(mapping: &Mapping) -> String {
    copy(&table(mapping), mapping.columns.iter())
}

/// A staged value in the type of the table.
fn value(column: &Column) -> String {
    let value = format!("r.{}", identifier(&column.name));
    if column.column_type.base.is_cast_there() { format!("{value}::{}", column.column_type.postgres()) } else { value }
}

/// Deletes the rows with staged keys.
pub fn delete(mapping: &Mapping) -> String {
    format!("DELETE FROM {} d USING {KEYS} k WHERE {}", table(mapping), same_key(mapping, "d", "k"))
}

/// Writes the staged rows. One that is there exactly like this is passed over, so that no trigger of the tenant's is fired
/// for nothing. Values are compared by their bytes: `1` and `1.0` are equal in `jsonb`, and are not the same.
pub fn upsert(mapping: &Mapping) -> String {
    let values: Vec<_> = mapping.columns.iter().map(value).collect();
    let all = columns("", mapping.columns.iter());
    let others: Vec<_> = mapping.columns.iter().filter(|column| !mapping.is_key(column)).collect();
    let set: Vec<_> = others
        .iter()
        .map(|column| {
            let name = identifier(&column.name);
            format!("{name} = EXCLUDED.{name}")
        })
        .collect();
    let action = if set.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        format!(
            "DO UPDATE SET {} WHERE ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
            set.join(", "),
            columns("d", others.iter().copied()),
            columns("EXCLUDED", others.iter().copied()),
        )
    };
    format!(
        "INSERT INTO {table} AS d ({all})\nSELECT {values} FROM {ROWS} r\nWHERE NOT EXISTS (SELECT FROM {table} d WHERE {same} AND ROW({there})::record OPERATOR(pg_catalog.*=) ROW({values})::record)\nON CONFLICT ({key}) {action}",
        table = table(mapping),
        values = values.join(", "),
        same = same_key(mapping, "d", "r"),
        there = columns("d", mapping.columns.iter()),
        key = columns("", mapping.key_columns()),
    )
}

/// Says of the staged rows' keys, and of the keys that are staged already, that they are known: for what removes the others.
pub fn insert_missing_keys(mapping: &Mapping) -> String {
    format!(
        "INSERT INTO {KEYS} ({keys}) SELECT {of_rows} FROM {ROWS} r",
        keys = columns("", keys_in_order(mapping)),
        of_rows = columns("r", keys_in_order(mapping)),
    )
}

/// The condition that the row `d` has no staged key.
pub(super) fn is_not_staged(mapping: &Mapping) -> String {
    format!("NOT EXISTS (SELECT FROM {KEYS} k WHERE {})", same_key(mapping, "k", "d"))
}

/// Deletes some rows of the table, whichever they are: at most so many.
pub fn delete_some(mapping: &Mapping, rows: u32) -> String {
    let table = table(mapping);
    format!("DELETE FROM {table} d WHERE d.ctid = ANY (ARRAY(SELECT x.ctid FROM {table} x LIMIT {rows}))")
}
