//! Names and values as SQL text.

use crate::mapping::SourceTable;

/// A quoted name.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted string. Relies on `standard_conforming_strings`, which is on by default since PostgreSQL 9.1.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A table with its schema.
pub fn table(table: &SourceTable) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.name))
}
