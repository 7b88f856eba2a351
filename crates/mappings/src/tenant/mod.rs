//! A tenant's own Postgres: tables, pages, fills, cursors and comparisons, as text.
//!
//! Whoever owns such a database may have anything in it. So every name of ours says its schema, operators and functions are
//! those of `pg_catalog` (each transaction begins with [`begin`], which sets `search_path`), and nothing asks for settings that
//! a role or a database may have other values of.
//!
//! Aliases are the same in every statement: `d` is a row of the tenant's table, `r` a row of the page, `k` a key of it.

pub mod compare;
mod fill;
mod page;
mod settings;
mod state;
mod tables;

pub use self::fill::{Range, remove_absent};
pub use self::page::{
    copy_direct, copy_keys, copy_rows, delete, delete_some, insert_missing_keys, is_direct, stage_keys, stage_rows,
    upsert,
};
pub use self::settings::{Limits, begin};
pub use self::state::{
    OUR_TABLES, begin_fill, create_ours, drop_ours, end_fill, forget, found_ours, is_held, lock, move_cursor,
    move_fill, names, owner_comment, raise_cursor, refill, states, write_cursor,
};
pub use self::tables::{FoundColumn, FoundTable, Shape, add_columns, create, facts, find, judge, revoke, writers};

use crate::mapping::{Column, Mapping};
use crate::postgres::identifier;

/// The schema of everything of ours: the one that a tenant's tools look into.
const SCHEMA: &str = "public";

/// A name of ours with its schema.
fn qualified(name: &str) -> String {
    format!("{}.{}", identifier(SCHEMA), identifier(name))
}

/// The table of a mapping.
pub fn table(mapping: &Mapping) -> String {
    qualified(mapping.name.as_str())
}

/// A quoted string, whatever `standard_conforming_strings` is when it is read: a batch is taken apart before its first
/// statement is run.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        crate::postgres::literal(text)
    }
}

/// Columns of a row.
fn columns<'a>(alias: &str, columns: impl Iterator<Item = &'a Column>) -> String {
    let of = |column: &Column| {
        let name = identifier(&column.name);
        if alias.is_empty() { name } else { format!("{alias}.{name}") }
    };
    columns.map(of).collect::<Vec<_>>().join(", ")
}

/// The condition that two rows have the same key.
fn same_key(mapping: &Mapping, one: &str, other: &str) -> String {
    let same = |column: &Column| {
        let name = identifier(&column.name);
        format!("{one}.{name} = {other}.{name}")
    };
    mapping.key_columns().map(same).collect::<Vec<_>>().join(" AND ")
}
