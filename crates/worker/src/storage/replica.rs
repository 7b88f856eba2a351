//! Whether a database is what it is taken for: a streaming replica of the source, or the source itself.

use std::time::Duration;

use lockstep_schema::{Session, Source, SourceError};
use tokio::time::timeout;
use tokio_postgres::Client;

/// For a connection and one small question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A streaming replica has the identifier that `initdb` gave its source.
const IDENTITY: &str = "SELECT system_identifier || '/' || current_database() FROM pg_control_system()";

/// Whether `replica` is a connection to a copy of what `source` names.
///
/// # Errors
/// When either cannot be asked.
pub(crate) async fn is_of(replica: &Client, source: &Source) -> Result<bool, SourceError> {
    let asking = async {
        let primary = source.connect(Session::Control).await?;
        let (one, other) = (primary.query_one(IDENTITY, &[]).await?, replica.query_one(IDENTITY, &[]).await?);
        Ok(one.try_get::<_, String>(0)? == other.try_get::<_, String>(0)?)
    };
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(SourceError::Timeout(ANSWER_TIMEOUT)))
}
