//! Whether a database is what it is taken for: a streaming replica of the source, or the source itself.

use tokio_postgres::Client;

use crate::error::SourceError;

/// A streaming replica has the identifier that `initdb` gave its source, and so has a copy that went its own way: that one is in
/// recovery no more, and was started at another time.
const IDENTITY: &str = "SELECT system_identifier || '/' || current_database(), pg_is_in_recovery(), pg_postmaster_start_time()::text \
     FROM pg_control_system()";

/// Refuses a connection that leads neither to a streaming replica of the source nor to the source itself: it may lack rows that
/// cursors would pass.
///
/// # Errors
/// [`SourceError::NotAReplica`], or when one of both cannot be asked.
pub async fn refuse_other(replica: &Client, source: &Client) -> Result<(), SourceError> {
    let (one, other) = (source.query_one(IDENTITY, &[]).await?, replica.query_one(IDENTITY, &[]).await?);
    let text = |row: &tokio_postgres::Row, column| row.try_get::<_, String>(column);
    let is_copy = text(&one, 0)? == text(&other, 0)?;
    let follows = other.try_get(1)? || text(&one, 2)? == text(&other, 2)?;
    if is_copy && follows { Ok(()) } else { Err(SourceError::NotAReplica) }
}
