//! Which server answers, and how far its changes have been numbered (SRC-1).

use lockstep_core::{SequenceId, SourceIdentity};
use lockstep_mappings::postgres::inbox::HEAD;
use tokio_postgres::Client;

use crate::error::SourceError;

/// One run of one server with one database: what is in it goes back in time only where this changes, or where somebody
/// loads a dump into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerRun {
    /// Which history it is.
    pub identity: SourceIdentity,
    started_at: String,
    /// The database, by its number in that server.
    pub database_oid: u32,
}

/// Asks who answers.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn server_run(client: &Client) -> Result<ServerRun, SourceError> {
    const RUN: &str = "
SELECT s.system_identifier::text, c.timeline_id::bigint, pg_postmaster_start_time()::text, d.oid
FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database()";
    let row = client.query_one(RUN, &[]).await?;
    let timeline: i64 = row.try_get(1)?;
    Ok(ServerRun {
        identity: SourceIdentity {
            system_identifier: row.try_get(0)?,
            timeline: u32::try_from(timeline).unwrap_or_default(),
        },
        started_at: row.try_get(2)?,
        database_oid: row.try_get(3)?,
    })
}

/// The highest floors of fills and of tenancies that are exported again, as two expressions.
pub const FLOORS: &str = "(SELECT max(floor) FROM lockstep.fill), (SELECT max(floor) FROM lockstep.resync)";

/// The last number that was given out for good: of a change, or of the floor of a fill. In normal operation no destination
/// has one above it.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn last_sequence(client: &Client) -> Result<SequenceId, SourceError> {
    let row = client.query_one(&format!("SELECT GREATEST({HEAD}, {FLOORS})"), &[]).await?;
    Ok(SequenceId::new(row.try_get(0)?))
}
