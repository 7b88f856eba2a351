//! Whether a database is what it is taken for: a streaming replica of the source, or the source itself.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::fetch;
use lockstep_schema::{Session, Source, SourceError};
use tokio::time::timeout;
use tokio_postgres::Client;

use super::connection::SideConnection;
use super::tenancies::uuids;

/// For a connection and one small question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A streaming replica has the identifier that `initdb` gave its source.
const IDENTITY: &str = "SELECT system_identifier || '/' || current_database() FROM pg_control_system()";

/// Whether `replica` is a connection to a copy of what `source` names.
pub(crate) async fn is_of(replica: &Client, source: &Source) -> Result<bool, SourceError> {
    let asking = async {
        let primary = source.connect(Session::Control).await?;
        let (one, other) = (primary.query_one(IDENTITY, &[]).await?, replica.query_one(IDENTITY, &[]).await?);
        Ok(one.try_get::<_, String>(0)? == other.try_get::<_, String>(0)?)
    };
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(SourceError::Timeout(ANSWER_TIMEOUT)))
}

/// The primary of the replica that is read, over a connection of its own.
pub(crate) struct Primary {
    connection: SideConnection,
}

impl Primary {
    pub(crate) const fn new(source: Source) -> Self {
        Self { connection: SideConnection::new(source) }
    }

    /// Of which of these tenancies something can be shipped. A replica shows one that is being erased for as long as it lags, and its rows must not be
    /// written after they were erased (ERASE-1): whoever erases waits longer than this answer may be used.
    pub(crate) async fn living(&mut self, tenancies: &[TenancyId]) -> Result<HashSet<TenancyId>, SourceError> {
        let sql = format!(
            "SELECT w.tenancy_id FROM unnest($1::uuid[]) AS w(tenancy_id) CROSS JOIN LATERAL {}",
            fetch::tenancy_lookup()
        );
        let ids = uuids(tenancies);
        let rows = self.connection.ask(ANSWER_TIMEOUT, async |client| Ok(client.query(&sql, &[&ids]).await?)).await?;
        rows.iter().map(|row| Ok(TenancyId::new(row.try_get(0)?))).collect()
    }
}
