//! The table that remembers which source the data came from (SRC-1).

use super::Databases;
use super::tables::TableDefinition;

/// The name of the table, in the raw database.
pub fn source_table_name() -> &'static str {
    "_lockstep_source"
}

/// One row: the source whose changes were last let in. The one that was seen last wins.
pub fn source_table(databases: &Databases) -> TableDefinition {
    let column =
        |name: &str, column_type: &str, default: &str| (name.to_owned(), column_type.to_owned(), default.to_owned());
    TableDefinition::new(
        databases,
        source_table_name(),
        vec![
            column("singleton", "UInt8", ""),
            column("system_identifier", "String", ""),
            column("timeline", "UInt32", ""),
            column("seen_at", "DateTime64(3, 'UTC')", "now64(3)"),
        ],
        "ReplacingMergeTree(seen_at)",
        "singleton".to_owned(),
    )
}
