//! Fills: exporting all rows of a mapping to a destination, the first time and again (`lockstep.fill`).
//!
//! Each question fails where Postgres cannot be asked.

use std::collections::BTreeSet;

use diesel::dsl::{count, sum};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use lockstep_core::DestinationId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{literal, table};

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{fill, fill_range, refill, whole};

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

/// The statement that asks for the mapping to be filled again in tenants' own databases, each of which has fills of its own.
pub(crate) fn ask_tenants(mapping: &Mapping) -> String {
    format!(
        "UPDATE lockstep.tenant_mapping SET refill_requested_at = clock_timestamp() WHERE mapping_name = {name};
UPDATE lockstep.tenant_destination SET unfinished = TRUE, revision = revision + 1 WHERE mappings IS NULL OR {name} = ANY(mappings)",
        name = literal(mapping.name.as_str())
    )
}

/// The statement that says, in the transaction in which a fill begins, whether rows go into a table beside the one that is read
/// until its end, and then whether the one that is replaced is kept; or, with `None`, that they go into the mapping's own.
pub fn build_beside(mapping: &Mapping, destination: &DestinationId, keep_replaced: Option<bool>) -> String {
    format!(
        "UPDATE lockstep.fill SET is_beside = {}, keep_replaced = {} WHERE mapping_name = {} AND destination = {}",
        keep_replaced.is_some(),
        keep_replaced.map_or_else(|| "NULL".to_owned(), |keep| keep.to_string()),
        literal(mapping.name.as_str()),
        literal(destination.as_str()),
    )
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

/// How far the last fill of a mapping has come.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct FillStatus {
    /// Which mapping.
    pub mapping: String,
    /// Why it was begun.
    pub reason: String,
    /// Whether it has ended.
    pub is_finished: bool,
    /// Whether all ranges are shipped, and what was written meanwhile is on its way.
    pub is_caught_up: bool,
    /// Rows that only the destination had; none before the end, or where rows were refused.
    pub stale_rows: Option<i64>,
    /// How many ranges it has.
    pub ranges: i64,
    /// Those that are shipped.
    pub ranges_done: i64,
    /// Rows that it has shipped; none before the first range.
    pub shipped_rows: Option<i64>,
}

/// How far the fills of a destination have come, in order of their mappings.
pub async fn statuses(control: &Control, of: &DestinationId) -> Result<Vec<FillStatus>, SourceError> {
    let same = fill_range::mapping_name.eq(fill::mapping_name).and(fill_range::destination.eq(fill::destination));
    let fills = fill::table
        .left_join(fill_range::table.on(same))
        .filter(fill::destination.eq(of.as_str()))
        .group_by((fill::mapping_name, fill::reason, fill::finished_at, fill::fence_id, fill::stale_rows))
        .select((
            fill::mapping_name,
            fill::reason,
            fill::finished_at.is_not_null(),
            fill::fence_id.is_not_null(),
            fill::stale_rows,
            count(fill_range::first_block.nullable()),
            count(fill_range::finished_at.nullable()),
            whole(sum(fill_range::shipped_rows.nullable())),
        ));
    Ok(fills.order(fill::mapping_name).load(&mut &*control).await?)
}

/// Those of these mappings whose fill has not ended, is still to begin, or is not known of, in order. Of one that `lockstep migrate` has not
/// set up no fill is known.
pub async fn unfinished(
    control: &Control,
    of: &DestinationId,
    mappings: &[&str],
) -> Result<BTreeSet<String>, SourceError> {
    let filled = fill::table
        .filter(fill::destination.eq(of.as_str()).and(fill::finished_at.is_not_null()))
        .filter(fill::mapping_name.ne_all(refill::table.select(refill::mapping_name)))
        .select(fill::mapping_name);
    let filled: BTreeSet<String> = filled.load(&mut &*control).await?.into_iter().collect();
    Ok(mappings.iter().filter(|name| !filled.contains(**name)).map(|name| (*name).to_owned()).collect())
}

/// Those of these mappings that `lockstep migrate` has not set up: no fill of them was ever begun.
pub async fn not_set_up(
    control: &Control,
    of: &DestinationId,
    mappings: &[&str],
) -> Result<BTreeSet<String>, SourceError> {
    let begun = fill::table.filter(fill::destination.eq(of.as_str())).select(fill::mapping_name);
    let begun: BTreeSet<String> = begun.load(&mut &*control).await?.into_iter().collect();
    Ok(mappings.iter().filter(|name| !begun.contains(**name)).map(|name| (*name).to_owned()).collect())
}
