//! The table that remembers which source the data came from (SRC-1).

use super::Databases;
use super::tables::TableDefinition;

/// The name of the table, in the raw database.
pub fn source_table_name() -> &'static str {
    "_lockstep_source"
}

/// One row: the source whose changes were last let in. The one that was seen last wins.
pub fn source_table(databases: &Databases) -> TableDefinition {
    TableDefinition::new(
        databases,
        source_table_name(),
        &[
            ("singleton", "UInt8", ""),
            ("system_identifier", "String", ""),
            ("timeline", "UInt32", ""),
            ("seen_at", "DateTime64(3, 'UTC')", "now64(3)"),
        ],
        "ReplacingMergeTree(seen_at)",
        "singleton",
    )
}
