//! Removing what is in the destination alone.

use std::time::Duration;

use lockstep_core::{Location, SequenceId};
use lockstep_destinations::ClickHouse;
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{Databases, count_stale, remove_stale};

use crate::error::OperationError;
use crate::progress::Waiting;

/// Locations in one statement: the server parses 256 KiB of it.
const PAGE: usize = 500;
/// For all rows of a mapping to be looked at. Doing it again is harmless.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Writes tombstones for the rows at these places with a version below the floor. Returns how many there were.
pub(super) async fn remove(
    clickhouse: &ClickHouse,
    databases: &Databases,
    mapping: &Mapping,
    floor: SequenceId,
    places: &[Location],
    waiting: &mut Waiting<'_>,
) -> Result<i64, OperationError> {
    let timeouts = Timeouts { statement: STATEMENT_TIMEOUT, stream_idle: STATEMENT_TIMEOUT, ..clickhouse.timeouts() };
    let clickhouse = clickhouse.clone().with_timeouts(timeouts);
    let mut removed = 0_i64;
    for places in places.chunks(PAGE) {
        let count = count_stale(mapping, databases, floor, Some(places));
        let stale: u64 = clickhouse.fetch_rows::<(u64,)>(&count).await?.first().map_or(0, |(count,)| *count);
        if stale > 0 {
            clickhouse.execute(&remove_stale(mapping, databases, floor, Some(places))).await?;
            waiting.tell(&format!("{}: {stale} rows were in ClickHouse alone, and are removed.", mapping.name));
            removed += i64::try_from(stale).unwrap_or(i64::MAX);
        }
    }
    Ok(removed)
}
