//! Planning a base snapshot: a mapping's source table cut into ranges of blocks.

use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{literal, table};

/// Heap blocks of 8 KiB in one range: 16 MiB, some tens of thousands of rows.
pub const RANGE_BLOCKS: u32 = 2048;

/// Statements that begin the snapshot of a mapping for ClickHouse. Run after capture is installed: rows that come later
/// are flagged, so the blocks that exist now hold the whole base.
pub(super) fn begin(mapping: &Mapping) -> Vec<String> {
    let name = literal(mapping.name.as_str());
    let mut statements = vec![format!(
        "INSERT INTO lockstep.snapshot (mapping_name, destination, source_filenode) VALUES ({name}, 'clickhouse', pg_relation_filenode({}::regclass))",
        literal(&table(&mapping.source))
    )];
    statements.extend(ranges(mapping));
    statements
}

/// Statements that start the snapshot of a mapping again, because its table was rewritten and rows changed their blocks.
/// The caller locks the row of `lockstep.snapshot` first.
pub fn restart_snapshot(mapping: &Mapping) -> Vec<String> {
    let name = literal(mapping.name.as_str());
    let mut statements = vec![
        format!("DELETE FROM lockstep.snapshot_range WHERE mapping_name = {name} AND destination = 'clickhouse'"),
        format!(
            "UPDATE lockstep.snapshot SET source_filenode = pg_relation_filenode({}::regclass), started_at = now(), finished_at = NULL WHERE mapping_name = {name} AND destination = 'clickhouse'",
            literal(&table(&mapping.source))
        ),
    ];
    statements.extend(ranges(mapping));
    statements
}

fn ranges(mapping: &Mapping) -> [String; 2] {
    let name = literal(mapping.name.as_str());
    let size = format!(
        "pg_relation_size({}::regclass) / current_setting('block_size')::bigint",
        literal(&table(&mapping.source))
    );
    [
        format!(
            "INSERT INTO lockstep.snapshot_range (mapping_name, destination, first_block, end_block)
SELECT {name}, 'clickhouse', first, first + {RANGE_BLOCKS} FROM generate_series(0, {size} - 1, {RANGE_BLOCKS}) AS first"
        ),
        format!(
            "UPDATE lockstep.snapshot SET finished_at = now() WHERE mapping_name = {name} AND destination = 'clickhouse'
AND NOT EXISTS (SELECT 1 FROM lockstep.snapshot_range WHERE mapping_name = {name} AND destination = 'clickhouse')"
        ),
    ]
}
