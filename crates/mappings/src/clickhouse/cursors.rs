//! The table of cursors, beside the data.

use super::Databases;
use super::tables::TableDefinition;

/// The name of the cursor table, in the raw database.
pub fn cursor_table_name() -> &'static str {
    "_stack_sync_metadata"
}

/// The table of cursors. The highest value wins, so a cursor never moves back (CUR-1), whatever arrives last.
pub fn cursor_table(databases: &Databases) -> TableDefinition {
    TableDefinition::new(
        databases,
        cursor_table_name(),
        &[
            ("tenancy_id", "UUID", ""),
            ("mapping_name", "String", ""),
            ("last_synced_sequence_id", "Int64", ""),
            ("updated_at", "DateTime64(3, 'UTC')", "now64(3)"),
        ],
        "ReplacingMergeTree(last_synced_sequence_id)",
        "tenancy_id, mapping_name",
    )
}
