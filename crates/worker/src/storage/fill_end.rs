//! Fills that can end.

use lockstep_core::SequenceId;
use lockstep_schema::locks::SessionLock;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;

use super::DESTINATION;

/// Whoever ends fills: the bytes of `lockfill`.
const FILL_LOCK: i64 = i64::from_be_bytes(*b"lockfill");

const DUE: &str = "
SELECT f.mapping_name, f.floor, f.reason,
  f.reason <> 'first fill' AND EXISTS (SELECT 1 FROM lockstep.quarantine q WHERE q.destination = $1 AND q.mapping_name = f.mapping_name)
FROM lockstep.fill f JOIN lockstep.fence n ON n.id = f.fence_id JOIN lockstep.destination d ON d.name = f.destination
WHERE f.destination = $1 AND f.finished_at IS NULL AND n.sequence <= d.passed ORDER BY f.mapping_name";

/// Ends a fill, if it is still the same.
const FINISH: &str = "
UPDATE lockstep.fill SET finished_at = clock_timestamp(), stale_rows = $4
WHERE destination = $1 AND mapping_name = $2 AND floor = $3 AND fence_id IS NOT NULL AND finished_at IS NULL";

/// A destination that had to be filled again is whole when all of its fills have ended.
const WHOLE: &str = "
UPDATE lockstep.destination d SET needs_refill_since = NULL WHERE name = $1 AND needs_refill_since IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM lockstep.fill f WHERE f.destination = d.name AND (f.finished_at IS NULL OR f.started_at < d.needs_refill_since))";

/// A fill that can end.
pub(crate) struct Due {
    pub(crate) mapping: String,
    pub(crate) floor: SequenceId,
    pub(crate) reason: String,
    /// Rows of it are in quarantine.
    pub(crate) quarantined: bool,
}

/// A connection for ending fills. While it lives and holds the lock, no other worker does it.
pub(crate) struct FillEndSession {
    client: Client,
    lock: SessionLock,
}

impl FillEndSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        Ok(Self { client: source.connect(Session::Control).await?, lock: SessionLock::new(FILL_LOCK) })
    }

    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        self.lock.try_take(&self.client).await
    }

    pub(crate) async fn due(&self) -> Result<Vec<Due>, SourceError> {
        let rows = self.client.query(DUE, &[&DESTINATION]).await?;
        rows.iter()
            .map(|row| {
                Ok(Due {
                    mapping: row.try_get(0)?,
                    floor: SequenceId::new(row.try_get(1)?),
                    reason: row.try_get(2)?,
                    quarantined: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Writes down that a fill has ended, and how many rows only the destination had.
    pub(crate) async fn finish(&self, due: &Due, stale: Option<u64>) -> Result<(), SourceError> {
        let stale = stale.map(|stale| i64::try_from(stale).unwrap_or(i64::MAX));
        self.client.execute(FINISH, &[&DESTINATION, &due.mapping, &due.floor.get(), &stale]).await?;
        self.client.execute(WHOLE, &[&DESTINATION]).await?;
        Ok(())
    }
}
