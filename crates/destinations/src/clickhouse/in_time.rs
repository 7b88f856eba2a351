//! Tables that would take what comes too late: nothing is written into them.
//!
//! A table refuses, by the server's own clock, an insert that begins later than it may (`lockstep_in_time`). `lockstep migrate`
//! gives that constraint to every table. One that lost it, or that somebody put in another's place, would let rows in again
//! that were erased for good (ERASE-1).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lockstep_mappings::clickhouse::{IN_TIME, TableDefinition, literal};
use tokio::sync::Mutex;

use super::{ClickHouse, error};
use crate::error::{DestinationError, Failure};

/// How long an answer is relied on. A minute is much less than what erasing waits by default.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Tables without the constraint, as they were told last, and when that was.
#[derive(Default, Debug)]
pub(super) struct InTime(Mutex<Option<(Instant, BTreeSet<String>)>>);

/// Refuses to write into a table that would take what comes too late. One that is not there is left to the insert, which says
/// so. One question a minute for all tables together, to whichever server answers: on a cluster they are altered together.
///
/// # Errors
/// [`Failure::Misconfigured`], or what the server says.
pub(super) async fn require(server: &ClickHouse, table: &TableDefinition) -> Result<(), DestinationError> {
    let name = table.local_name();
    let mut known = server.connection.in_time.0.lock().await;
    if let Some((told_at, without)) = &*known
        && told_at.elapsed() < KNOWN_FOR
        && !without.contains(&name)
    {
        return Ok(());
    }
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = {} AND engine LIKE '%MergeTree' AND position(create_table_query, 'CONSTRAINT {IN_TIME} CHECK') = 0",
        literal(&server.databases.raw),
    );
    let without: BTreeSet<_> = server.fetch_rows::<(String,)>(&sql).await?.into_iter().map(|(name,)| name).collect();
    let is_without = without.contains(&name);
    *known = Some((Instant::now(), without));
    if is_without {
        let reason = format!(
            "table {}.{name} has no constraint {IN_TIME}, and would take rows that come too late: nothing is written into it until `lockstep migrate` was run",
            table.database
        );
        return Err(error(Failure::Misconfigured, reason));
    }
    Ok(())
}
