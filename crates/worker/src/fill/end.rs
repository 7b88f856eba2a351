//! The end of fills: what the destination shows of a mapping below the floor of its fill, and the source no longer has, gets
//! tombstones of that number. One worker at a time does it.
//!
//! A fill can end when the destination has passed the number that covers its ranges and what was written meanwhile: then
//! every row of the source has a version at or above the floor there.

use std::time::Duration;

use lockstep_core::failpoint;
use lockstep_destinations::Erase;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::Source;
use lockstep_schema::tasks::{Ran, Task};

use crate::error::ShipError;
use crate::limits::Limits;
use crate::pace::jittered;
use crate::storage::fill_end::{Due, FillEndSession};

/// Ends the fills of a destination.
pub(crate) struct FillEnd<D> {
    pub(crate) destination: D,
    pub(crate) set: MappingSet,
    pub(crate) limits: Limits,
}

impl<D: Erase + Send + Sync + 'static> Task for FillEnd<D> {
    const NAME: &'static str = "end fills";
    /// Each statement has a limit of its own.
    const TIMEOUT: Duration = Duration::MAX;
    type Session = FillEndSession;
    type Error = ShipError;

    async fn open(&self, source: &Source) -> Result<FillEndSession, ShipError> {
        Ok(FillEndSession::open(source).await?)
    }

    async fn run(&mut self, _: &Source, session: &mut FillEndSession) -> Result<Ran, ShipError> {
        let every = jittered(self.limits.fill_poll_every / 2);
        if !session.lead().await? {
            return Ok(Ran::skipped(every));
        }
        let mut ended = 0;
        for due in session.due().await? {
            if let Some(mapping) = self.set.iter().find(|mapping| mapping.name.as_str() == due.mapping) {
                self.end(session, mapping, &due).await?;
                ended += 1;
            }
        }
        Ok(Ran::did(ended, every))
    }
}

impl<D: Erase> FillEnd<D> {
    async fn end(&self, session: &FillEndSession, mapping: &Mapping, due: &Due) -> Result<(), ShipError> {
        // A row that was refused is there with its old number, if at all: it must not be taken for a stale one.
        if due.quarantined {
            tracing::warn!(mapping = %mapping.name, "rows that only ClickHouse has were not removed, because rows are in quarantine: mend them, then run `lockstep resync`");
            return Ok(session.finish(due, None).await?);
        }
        let stale = self.destination.remove_stale(mapping, due.floor, None).await?;
        failpoint!(
            "worker::fill_end::before",
            return Err(lockstep_schema::SourceError::Timeout(Duration::ZERO).into())
        );
        session.finish(due, Some(stale)).await?;
        failpoint!("worker::fill_end::after", return Err(lockstep_schema::SourceError::Timeout(Duration::ZERO).into()));
        tracing::info!(mapping = %mapping.name, reason = due.reason, stale, "a mapping is filled");
        Ok(())
    }
}
