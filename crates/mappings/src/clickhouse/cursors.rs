//! The table of cursors, beside the data.

use super::Databases;
use super::tables::TableDefinition;

/// The name of the cursor table, in the raw database.
pub fn cursor_table_name() -> &'static str {
    "_stack_sync_metadata"
}

/// The table of cursors. The highest value wins, so a cursor never moves back (CUR-1), whatever arrives last.
pub fn cursor_table(databases: &Databases) -> TableDefinition {
    let column =
        |name: &str, column_type: &str, default: &str| (name.to_owned(), column_type.to_owned(), default.to_owned());
    TableDefinition::new(
        databases,
        cursor_table_name(),
        vec![
            column("tenancy_id", "UUID", ""),
            column("mapping_name", "String", ""),
            column("last_synced_sequence_id", "Int64", ""),
            column("updated_at", "DateTime64(3, 'UTC')", "now64(3)"),
        ],
        "ReplacingMergeTree(last_synced_sequence_id)",
        "tenancy_id, mapping_name".to_owned(),
    )
}
