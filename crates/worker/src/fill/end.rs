//! The end of fills: what the destination shows of a mapping below the floor of its fill, and the source no longer has, gets
//! tombstones of that number. One worker at a time does it.
//!
//! A fill can end when the destination has passed the number that covers its ranges and what was written meanwhile: then
//! every row of the source has a version at or above the floor there. A fill into the table beside ends with that table in the
//! place of the one that was read. Each step can be done again, so a worker that dies anywhere is followed by another.

use std::time::{Duration, Instant};

use lockstep_core::failpoint;
use lockstep_destinations::{Destination, Erase, PLACES_PER_STATEMENT, Swap};
use lockstep_mappings::clickhouse::StaleAt;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::Source;
use lockstep_schema::tasks::{Ran, Task};

use crate::error::ShipError;
use crate::limits::Limits;
use crate::pace::jittered;
use crate::storage::fill_end::{Due, FillEndSession};

/// A server takes longer than this to end and to start again.
const SERVERS_KNOWN_FOR: Duration = Duration::from_secs(1);

/// Ends the fills of a destination.
pub(crate) struct FillEnd<D> {
    pub(crate) destination: D,
    pub(crate) set: MappingSet,
    pub(crate) limits: Limits,
}

impl<D: Destination + Erase + Swap> Task for FillEnd<D> {
    const NAME: &'static str = "end fills";
    /// Each statement has a limit of its own.
    const TIMEOUT: Duration = Duration::MAX;
    type Session = FillEndSession;
    type Error = ShipError;

    async fn open(&self, source: &Source) -> Result<FillEndSession, ShipError> {
        Ok(FillEndSession::open(source, &self.set).await?)
    }

    async fn run(&mut self, _: &Source, session: &mut FillEndSession) -> Result<Ran, ShipError> {
        let every = jittered(self.limits.fill_poll_every / 2);
        if !session.lead().await? {
            return Ok(Ran::left_to_another(every));
        }
        for mapping in session.beside().await?.iter().filter_map(|name| self.mapping(name)) {
            // Whoever exchanged the tables did not come to write it down, nor perhaps to make the view.
            if self.destination.is_in_place(mapping).await? {
                self.destination.take_place(mapping).await?;
                session.in_place(mapping).await?;
            }
        }
        let (mut ended, mut looked) = (0, None);
        for due in session.due().await? {
            let Some(mapping) = self.mapping(&due.mapping) else { continue };
            if looked.is_none_or(|looked: Instant| looked.elapsed() > SERVERS_KNOWN_FOR) {
                // Rows that a server lost would be taken for stale, and be hidden until they were exported again: whoever sweeps
                // takes note of the restart first, and has their ranges shipped again before this fill can end.
                if session.have_restarted(&self.destination.servers().await?).await? {
                    break;
                }
                looked = Some(Instant::now());
            }
            ended += usize::from(self.end(session, mapping, &due).await?);
        }
        Ok(Ran::did(ended, every))
    }
}

impl<D: Destination + Erase + Swap> FillEnd<D> {
    fn mapping(&self, name: &str) -> Option<&Mapping> {
        self.set.iter().find(|mapping| mapping.name.as_str() == name)
    }

    /// Returns whether it has ended.
    async fn end(&self, session: &mut FillEndSession, mapping: &Mapping, due: &Due) -> Result<bool, ShipError> {
        let stale = self.remove_stale(session, mapping, due).await?;
        if due.is_beside {
            // That took a while, and `lockstep migrate` waits for whoever holds the lock to look again.
            if !session.is_still(due).await? {
                return Ok(false);
            }
            self.destination.take_place(mapping).await?;
            session.in_place(mapping).await?;
            tracing::info!(mapping = %mapping.name, "the table that was built beside has taken its place");
        }
        if let Some(keep) = due.keep_replaced {
            self.destination.retire_replaced(mapping, keep).await?;
        }
        failpoint!(
            "worker::fill_end::before",
            return Err(lockstep_schema::SourceError::Timeout(Duration::ZERO).into())
        );
        session.finish(due, stale).await?;
        failpoint!("worker::fill_end::after", return Err(lockstep_schema::SourceError::Timeout(Duration::ZERO).into()));
        tracing::info!(mapping = %mapping.name, reason = due.reason, ?stale, "a mapping is filled");
        Ok(true)
    }

    /// Returns how many rows were removed that only the destination had; `None` where nobody can tell which all of these are.
    async fn remove_stale(
        &self,
        session: &FillEndSession,
        mapping: &Mapping,
        due: &Due,
    ) -> Result<Option<u64>, ShipError> {
        let placed = if due.is_beside { mapping.beside() } else { mapping.clone() };
        if !due.quarantined {
            return Ok(Some(self.destination.remove_stale(&placed, due.floor, StaleAt::AllBut(&[])).await?));
        }
        // A row that was refused is there with its old number, if at all: it must not be taken for a stale one. What others have
        // there is told apart by its place.
        let places = session.refused_places(mapping.name.as_str(), PLACES_PER_STATEMENT).await?;
        let removed = match &places {
            Some(places) => self.destination.remove_stale(&placed, due.floor, StaleAt::AllBut(places)).await?,
            None => 0,
        };
        tracing::warn!(mapping = %mapping.name, removed, "rows are in quarantine: what only ClickHouse has of their tenancies was not removed; mend them, then run `lockstep resync`");
        Ok(None)
    }
}
