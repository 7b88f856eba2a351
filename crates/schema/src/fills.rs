//! Fills: exporting all rows of a mapping to a destination, the first time and again (`lockstep.fill`).

use lockstep_core::DestinationId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{literal, table};
use tokio_postgres::Client;

use crate::error::SourceError;

/// Heap blocks of 8 KiB in one range: 64 MiB, some hundred thousands of rows, which become one piece in the destination.
pub const RANGE_BLOCKS: u32 = 8192;

/// Statements that begin the fill of a mapping, instead of any that is under way or done, to be run in one transaction after
/// capture is installed. The number that is drawn is the version of all rows that are read: what happens to a row from now
/// on gets a higher one.
pub fn begin(mapping: &Mapping, destination: &DestinationId, reason: &str) -> Vec<String> {
    let (name, of_table) = (literal(mapping.name.as_str()), literal(&table(&mapping.source)));
    let mut statements = vec![format!(
        "INSERT INTO lockstep.fill AS f (mapping_name, destination, reason, floor, source_filenode)
VALUES ({name}, {destination}, {reason}, nextval('lockstep.sequence'), pg_relation_filenode({of_table}::regclass))
ON CONFLICT (mapping_name, destination) DO UPDATE SET reason = EXCLUDED.reason, floor = EXCLUDED.floor, source_filenode = EXCLUDED.source_filenode,
  since = EXCLUDED.since, started_at = EXCLUDED.started_at, fence_id = NULL, finished_at = NULL, stale_rows = NULL",
        destination = literal(destination.as_str()),
        reason = literal(reason),
    )];
    statements.extend(ranges(mapping, destination));
    statements
}

/// Statements that begin the ranges of a fill again, because its table was rewritten and rows changed their blocks. The
/// caller locks the row of `lockstep.fill` first.
pub fn begin_ranges_again(mapping: &Mapping, destination: &DestinationId) -> Vec<String> {
    let mut statements = vec![format!(
        "UPDATE lockstep.fill SET source_filenode = pg_relation_filenode({}::regclass), since = txid_snapshot_xmin(txid_current_snapshot()), fence_id = NULL, finished_at = NULL WHERE mapping_name = {} AND destination = {}",
        literal(&table(&mapping.source)),
        literal(mapping.name.as_str()),
        literal(destination.as_str()),
    )];
    statements.extend(ranges(mapping, destination));
    statements
}

fn ranges(mapping: &Mapping, destination: &DestinationId) -> [String; 2] {
    let (name, destination) = (literal(mapping.name.as_str()), literal(destination.as_str()));
    let blocks = format!(
        "pg_relation_size({}::regclass) / current_setting('block_size')::bigint",
        literal(&table(&mapping.source))
    );
    [
        format!("DELETE FROM lockstep.fill_range WHERE mapping_name = {name} AND destination = {destination}"),
        format!(
            "INSERT INTO lockstep.fill_range (mapping_name, destination, first_block, end_block)
SELECT {name}, {destination}, first, first + {RANGE_BLOCKS} FROM generate_series(0, {blocks} - 1, {RANGE_BLOCKS}) AS first"
        ),
    ]
}

/// Begins the fill of a mapping, in a transaction of its own.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn begin_now(
    client: &Client,
    mapping: &Mapping,
    destination: &DestinationId,
    reason: &str,
) -> Result<(), SourceError> {
    let statements = begin(mapping, destination, reason).join(";\n");
    client.batch_execute(&format!("BEGIN;\n{statements};\nCOMMIT")).await?;
    Ok(())
}
