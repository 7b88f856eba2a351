//! Removing what is in the destination alone.

use std::time::Duration;

use lockstep_core::{Location, SequenceId};
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_mappings::clickhouse::{count_stale, remove_stale};

use super::Reexport;
use super::scope::Scope;
use crate::error::CliError;

/// Locations in one statement: the server parses 256 KiB of it.
const PAGE: usize = 500;
/// For all rows of a mapping to be looked at. Doing it again is harmless.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Writes tombstones for stale rows. Returns how many there were.
pub(super) async fn remove(export: &Reexport<'_>, scope: &Scope<'_>, floor: SequenceId) -> Result<u64, CliError> {
    let timeouts =
        Timeouts { statement: STATEMENT_TIMEOUT, stream_idle: STATEMENT_TIMEOUT, ..export.clickhouse.timeouts() };
    let clickhouse = export.clickhouse.clone().with_timeouts(timeouts);
    let pages: Vec<Option<&[Location]>> = match &scope.places {
        None => vec![None],
        Some(places) => places.chunks(PAGE).map(Some).collect(),
    };
    let mut removed = 0;
    for mapping in &scope.mappings {
        for places in &pages {
            let count = count_stale(mapping, &export.databases, floor, *places);
            let stale: u64 = clickhouse.fetch_rows::<(u64,)>(&count).await?.first().map_or(0, |(count,)| *count);
            if stale > 0 {
                clickhouse.execute(&remove_stale(mapping, &export.databases, floor, *places)).await?;
                println!("{}: {stale} rows were in ClickHouse alone, and are removed.", mapping.name);
                removed += stale;
            }
        }
    }
    Ok(removed)
}
