//! Fills that can end.

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::ServerStart;
use lockstep_mappings::postgres::erase;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::definitions::Known;
use lockstep_schema::locks::{FILL_LOCK, SessionLock};
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{DESTINATION, look_up, restarts};

/// One into the table beside waits besides until nothing can be on its way any more that was read under the definition of before:
/// it is meant for the mapping's own table, and would land in the one that has its name by then.
fn due() -> String {
    format!(
        "
SELECT f.mapping_name, f.floor, f.reason, f.is_beside, f.keep_replaced,
  f.reason <> 'first fill' AND EXISTS (SELECT 1 FROM lockstep.quarantine q WHERE q.destination = $1 AND q.mapping_name = f.mapping_name)
FROM lockstep.fill f JOIN lockstep.fence n ON n.id = f.fence_id JOIN lockstep.destination d ON d.name = f.destination
WHERE f.destination = $1 AND f.finished_at IS NULL AND n.sequence <= d.passed
  AND (NOT f.is_beside OR f.started_at + {late} < clock_timestamp()) ORDER BY f.mapping_name",
        late = erase::erasure_wait()
    )
}

/// Ends a fill, if it is still the same.
const FINISH: &str = "
UPDATE lockstep.fill SET finished_at = clock_timestamp(), stale_rows = $4, keep_replaced = NULL
WHERE destination = $1 AND mapping_name = $2 AND floor = $3 AND fence_id IS NOT NULL AND finished_at IS NULL";

/// Fills of which the rows go into the table beside.
const BESIDE: &str = "SELECT mapping_name FROM lockstep.fill WHERE destination = $1 AND is_beside";

/// Whether a fill is still the one that it was.
const STILL: &str = "
SELECT EXISTS (SELECT 1 FROM lockstep.fill WHERE destination = $1 AND mapping_name = $2 AND floor = $3 AND is_beside AND finished_at IS NULL)";

/// The table beside has taken its place: rows go there.
const IN_PLACE: &str = "UPDATE lockstep.fill SET is_beside = FALSE WHERE destination = $1 AND mapping_name = $2";

/// A destination that had to be filled again is whole when all of its fills have ended.
const WHOLE: &str = "
UPDATE lockstep.destination d SET needs_refill_since = NULL WHERE name = $1 AND needs_refill_since IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM lockstep.fill f WHERE f.destination = d.name AND (f.finished_at IS NULL OR f.started_at < d.needs_refill_since))";

/// Tenancies that had rows of a mapping refused, some of them.
const REFUSED: &str = "
SELECT DISTINCT tenancy_id FROM lockstep.quarantine WHERE destination = $1 AND mapping_name = $2 LIMIT $3";

/// A fill that can end.
pub(crate) struct Due {
    pub(crate) mapping: String,
    pub(crate) floor: SequenceId,
    pub(crate) reason: String,
    /// Its rows went into the table beside, which takes the place of the one that is read.
    pub(crate) is_beside: bool,
    /// Whether the table whose place was taken is kept, where one was.
    pub(crate) keep_replaced: Option<bool>,
    /// Rows of it are in quarantine.
    pub(crate) quarantined: bool,
}

/// A connection for ending fills. While it lives and holds the lock, no other worker does it.
pub(crate) struct FillEndSession {
    client: Client,
    lock: SessionLock,
    known: Known,
}

impl FillEndSession {
    pub(crate) async fn open(source: &Source, set: &MappingSet) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        Ok(Self { client, lock: SessionLock::new(FILL_LOCK), known: Known::new(set.iter()) })
    }

    /// Tries to become the one that ends fills. A worker whose definitions are not those that were set up leaves it to
    /// others.
    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        if self.known.are_set_up(&self.client).await? {
            return self.lock.try_take(&self.client).await;
        }
        self.lock.give_up(&self.client).await?;
        Ok(false)
    }

    /// Mappings whose rows go into the table beside.
    pub(crate) async fn beside(&self) -> Result<Vec<String>, SourceError> {
        let rows = self.client.query(BESIDE, &[&DESTINATION]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Whether a fill into the table beside is still the one that can end: `lockstep migrate` may have begun another meanwhile.
    pub(crate) async fn is_still(&mut self, due: &Due) -> Result<bool, SourceError> {
        let asked = [&DESTINATION as &(dyn ToSql + Sync), &due.mapping, &due.floor.get()];
        Ok(self.lead().await? && self.client.query_one(STILL, &asked).await?.try_get(0)?)
    }

    /// Writes down that the table beside has taken its place.
    pub(crate) async fn in_place(&self, mapping: &Mapping) -> Result<(), SourceError> {
        self.client.execute(IN_PLACE, &[&DESTINATION, &mapping.name.as_str()]).await?;
        Ok(())
    }

    pub(crate) async fn due(&self) -> Result<Vec<Due>, SourceError> {
        let rows = self.client.query(&due(), &[&DESTINATION]).await?;
        rows.iter()
            .map(|row| {
                Ok(Due {
                    mapping: row.try_get(0)?,
                    floor: SequenceId::new(row.try_get(1)?),
                    reason: row.try_get(2)?,
                    is_beside: row.try_get(3)?,
                    keep_replaced: row.try_get(4)?,
                    quarantined: row.try_get(5)?,
                })
            })
            .collect()
    }

    /// Where the tenancies are of which rows of the mapping were refused: what is left where they were is nobody's. `None` where these are more places than `limit`.
    pub(crate) async fn refused_places(
        &self,
        mapping: &str,
        limit: usize,
    ) -> Result<Option<Vec<Location>>, SourceError> {
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let rows = self.client.query(REFUSED, &[&DESTINATION, &mapping, &one_more]).await?;
        let refused: Vec<_> =
            rows.iter().map(|row| Ok(TenancyId::new(row.try_get(0)?))).collect::<Result<_, SourceError>>()?;
        if refused.len() > limit {
            return Ok(None);
        }
        let places = look_up(&self.client, &refused).await?.places();
        Ok((places.len() <= limit).then_some(places))
    }

    /// Whether one of the destination's servers was started again, and nobody has taken note of it yet.
    pub(crate) async fn have_restarted(&self, servers: &[ServerStart]) -> Result<bool, SourceError> {
        restarts::have_restarted(&self.client, servers).await
    }

    /// Writes down that a fill has ended, and how many rows only the destination had.
    pub(crate) async fn finish(&self, due: &Due, stale: Option<u64>) -> Result<(), SourceError> {
        let stale = stale.map(|stale| i64::try_from(stale).unwrap_or(i64::MAX));
        self.client.execute(FINISH, &[&DESTINATION, &due.mapping, &due.floor.get(), &stale]).await?;
        self.client.execute(WHOLE, &[&DESTINATION]).await?;
        Ok(())
    }
}
