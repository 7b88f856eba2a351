//! The advisory lock that the leading sequencer holds (SEQ-2).

use lockstep_schema::locks::LEADER_LOCK;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

use super::passes::NOTICE_LOST_CLIENTS;

/// A connection that holds the lock, or tries to: the right to lead, as long as it lives.
pub(crate) struct LeaderLock {
    client: Client,
}

impl LeaderLock {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute(NOTICE_LOST_CLIENTS).await?;
        Ok(Self { client })
    }

    /// Takes the lock if nobody has it.
    pub(crate) async fn try_take(&self) -> Result<bool, SourceError> {
        Ok(self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LEADER_LOCK]).await?.get(0))
    }

    /// Whether the lock is held by this very connection. A pooler that swaps connections under us would be noticed here.
    pub(crate) async fn is_held(&self) -> Result<bool, SourceError> {
        // A key of 64 bits is shown as two halves, with objsubid 1.
        const HELD: &str = "
SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND objsubid = 1
  AND (classid::bigint << 32 | objid::bigint) = $1)";
        Ok(self.client.query_one(HELD, &[&LEADER_LOCK]).await?.get(0))
    }

    /// Gives the lock back.
    pub(crate) async fn release(&self) -> Result<(), SourceError> {
        Ok(self.client.execute("SELECT pg_advisory_unlock($1)", &[&LEADER_LOCK]).await.map(drop)?)
    }
}
