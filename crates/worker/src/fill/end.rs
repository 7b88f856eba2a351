//! The end of fills: what the destination shows of a mapping below the floor of its fill, and the source no longer has, gets
//! tombstones of that number. One worker at a time does it.
//!
//! A fill can end when the destination has passed the number that covers its ranges and what was written meanwhile: then
//! every row of the source has a version at or above the floor there.

use lockstep_core::failpoint;
use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::Erase;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::Source;

use crate::error::ShipError;
use crate::limits::Limits;
use crate::measure;
use crate::pace::jittered;
use crate::storage::fill_end::{Due, FillEndSession};

/// Ends the fills of a destination.
pub(crate) struct FillEnd<D> {
    source: Source,
    destination: D,
    set: MappingSet,
    limits: Limits,
    session: Option<FillEndSession>,
}

impl<D: Erase> FillEnd<D> {
    pub(crate) const fn new(source: Source, destination: D, set: MappingSet, limits: Limits) -> Self {
        Self { source, destination, set, limits, session: None }
    }

    /// Works until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::for_connections();
        loop {
            let Some(done) = shutdown.run_until_cancelled(self.round()).await else { return };
            let wait = match done {
                Ok(()) => {
                    backoff.reset();
                    jittered(self.limits.fill_poll_every / 2)
                }
                Err(error) => {
                    self.session = None;
                    measure::failed(error.kind());
                    let wait = backoff.next_wait();
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "a fill could not be ended, trying again");
                    wait
                }
            };
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn round(&mut self) -> Result<(), ShipError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => FillEndSession::open(&self.source).await?,
        };
        if session.lead().await? {
            for due in session.due().await? {
                let Some(mapping) = self.set.iter().find(|mapping| mapping.name.as_str() == due.mapping) else {
                    continue;
                };
                self.end(&session, mapping, &due).await?;
            }
        }
        self.session = Some(session);
        Ok(())
    }

    async fn end(&self, session: &FillEndSession, mapping: &Mapping, due: &Due) -> Result<(), ShipError> {
        // A row that was refused is there with its old number, if at all: it must not be taken for a stale one.
        if due.quarantined {
            tracing::warn!(mapping = %mapping.name, "rows that only ClickHouse has were not removed, because rows are in quarantine: mend them, then run `lockstep resync`");
            return Ok(session.finish(due, None).await?);
        }
        let stale = self.destination.remove_stale(mapping, due.floor, None).await?;
        failpoint!(
            "worker::fill_end::before",
            return Err(lockstep_schema::SourceError::Timeout(std::time::Duration::ZERO).into())
        );
        session.finish(due, Some(stale)).await?;
        failpoint!(
            "worker::fill_end::after",
            return Err(lockstep_schema::SourceError::Timeout(std::time::Duration::ZERO).into())
        );
        tracing::info!(mapping = %mapping.name, reason = due.reason, stale, "a mapping is filled");
        Ok(())
    }
}
