//! What is asked of the source itself while a streaming replica of it is read.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::fetch;
use lockstep_schema::{Session, Source, SourceError, replica, within};
use tokio_postgres::Client;

use super::connection::SideConnection;
use super::tenancies::uuids;

/// For a connection and one small question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Refuses a connection that leads elsewhere than to `source` or a streaming replica of it.
pub(crate) async fn refuse_other(replica: &Client, source: &Source) -> Result<(), SourceError> {
    let asking = async { replica::refuse_other(replica, &source.connect(Session::Control).await?).await };
    within(ANSWER_TIMEOUT, asking).await
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
