//! One flush: everything that some tenancies have changes of, read in one snapshot, written, and only then their cursors
//! moved (CUR-1).
//!
//! ```text
//! open ─▶ plan_pages ─▶ for each page: read_page ─▶ filter_rows ─▶ write_page ─▶ commit_page ─▶ outcome
//!                                                                     └─ refused? isolate
//! ```
//!
//! [`pipeline`] goes this way with all pages. Nothing is known afterwards but what the destination holds, and what was learnt
//! of each mapping: the size of its pages, and which tenancies may have rows that are refused.

mod commit_page;
mod cursor_write;
mod filter_rows;
mod foreign;
mod isolate;
mod open;
mod outcome;
mod pipeline;
mod plan_pages;
mod read_page;
mod recent_cursors;
mod write_page;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::health::Health;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::Destination;
use lockstep_schema::Source;
use uuid::Uuid;

pub use self::commit_page::CursorsMove;
pub use self::cursor_write::{CursorMoves, CursorWrite};
pub(crate) use self::filter_rows::{Refusal, RowFilter, push};
use self::foreign::Foreign;
use self::open::{Opened, Opener};
pub use self::outcome::{Failed, Flushed};
use self::pipeline::Pipeline;
use self::plan_pages::{MappingStates, plan_pages};
use self::read_page::Route;
pub(crate) use self::read_page::{Copied, copy_rows};
pub(crate) use self::write_page::{DurablePage, OpenPage};
use crate::error::ShipError;
use crate::hints::Hints;
use crate::limits::Limits;
use crate::mappings::Mappings;
use crate::metrics;
use crate::storage::quarantine::Quarantine;
use crate::storage::{FetchSessions, LeasedSession};

/// What health calls the source.
pub(crate) const SOURCE: &str = "source";
/// What health calls the destination.
pub(crate) use lockstep_core::destination_id::CLICKHOUSE as DESTINATION;

/// Ships batches, one at a time.
pub struct Flusher<D> {
    opener: Opener,
    destination: D,
    mappings: Arc<Mappings>,
    limits: Limits,
    health: Health,
    quarantine: Quarantine,
    states: MappingStates,
    foreign: Foreign,
}

impl<D: Destination> Flusher<D> {
    /// Connects with the first flush.
    pub fn new(source: Source, destination: D, mappings: Arc<Mappings>, limits: Limits, health: Health) -> Self {
        Self::with_sessions(source, FetchSessions::new(1), destination, mappings, limits, health)
    }

    /// As [`Flusher::new`], reading over sessions that it shares with others.
    pub(crate) fn with_sessions(
        source: Source,
        sessions: FetchSessions,
        destination: D,
        mappings: Arc<Mappings>,
        limits: Limits,
        health: Health,
    ) -> Self {
        let quarantine = Quarantine::new(source.clone(), destination.id(), destination.keeps());
        let opener = Opener::new(source, sessions, health.clone());
        let (states, foreign) = (MappingStates::new(), Foreign::default());
        Self { opener, destination, mappings, limits, health, quarantine, states, foreign }
    }

    /// Has pages of at most so many bytes from the next flush on.
    pub(crate) const fn set_page_bytes(&mut self, bytes: u64) {
        self.limits.page_bytes = bytes;
    }

    /// Reads changes from a streaming replica of the source. What it has not replayed yet is put off, not passed over.
    #[must_use]
    pub fn reading_from(mut self, replica: Source) -> Self {
        self.opener.read_from(replica);
        self
    }

    /// Ships what these tenancies have above their cursors, a page of each at most.
    ///
    /// Dropped in the middle, it leaves nothing behind but rows that may be shipped again (IDEM-1).
    pub async fn flush(&mut self, hints: &Hints) -> Flushed {
        self.flush_with(hints, CursorsMove::Now).await
    }

    /// The same; where all goes well, it may return before the cursors are written.
    pub async fn flush_with(&mut self, hints: &Hints, cursors: CursorsMove) -> Flushed {
        let mut flushed = self.flush_pages(hints).await;
        let is_done =
            [&flushed.more, &flushed.retry, &flushed.behind, &flushed.foreign].iter().all(|left| left.is_empty());
        if cursors == CursorsMove::Meanwhile && is_done {
            return flushed;
        }
        if let Some(cursors) = flushed.cursors.take()
            && let Err(error) = self.wait_for_cursors(CursorWrite::begin(vec![cursors], self.destination.clone())).await
        {
            flushed.retry.merge(hints);
            flushed.retry_reason = Some(error.to_string());
        }
        flushed
    }

    /// Begins to write the cursors of some flushes that have returned, beside the next. Where the destination has failed since, or the source, another
    /// may answer that does not hold what they pass: then none is written.
    pub(crate) fn begin_cursor_write(&self, moves: Vec<CursorMoves>) -> CursorWrite {
        if moves.iter().any(|moves| !self.opener.are_still_moving(moves.number)) {
            return CursorWrite::refused(&moves, self.destination.id());
        }
        CursorWrite::begin(moves, self.destination.clone())
    }

    /// Waits for cursors to be written.
    ///
    /// # Errors
    /// When it is not certain that they were: what was to be shipped by their flushes has to be shipped again.
    pub(crate) async fn wait_for_cursors(&mut self, cursors: CursorWrite) -> Result<(), ShipError> {
        let numbers = cursors.numbers.clone();
        let outcome = cursors.outcome().await;
        numbers.into_iter().for_each(|number| self.opener.cursors_have_moved(number));
        let Err(error) = outcome else { return Ok(()) };
        self.opener.forget_cursors();
        self.health.not_ready(DESTINATION, error.to_string());
        let error = ShipError::Destination(error);
        metrics::failed(error.kind());
        Err(error)
    }

    async fn flush_pages(&mut self, hints: &Hints) -> Flushed {
        let started = Instant::now();
        let flushed = match self.opener.open(&self.destination, hints, &self.mappings).await {
            Ok((session, opened)) => self.ship(session, opened, hints).await,
            Err(error) => Flushed::outage(hints, &error),
        };
        let took = started.elapsed();
        metrics::flushed(hints.len(), took);
        let (more, retry) = (flushed.more.pairs(), flushed.retry.pairs());
        let took_ms = took.as_millis();
        tracing::debug!(tenancies = hints.len(), rows = flushed.rows, more, retry, took_ms, "flushed");
        flushed
    }

    async fn ship(&mut self, session: LeasedSession, opened: Opened, hints: &Hints) -> Flushed {
        let head = opened.snapshot.head;
        let unknown = hints.len() - opened.snapshot.locations.len();
        if unknown > 0 {
            tracing::info!(tenancies = unknown, "tenancies were announced that do not exist: passed over");
        }
        let mut shipped = hints.clone();
        let foreign = self.foreign.take_out(&mut shipped, &opened.snapshot, &self.mappings);
        let ahead = self.opener.put_off_ahead(&mut shipped, &opened, &self.mappings);
        let (pages, waiting) = plan_pages(&shipped, &mut self.states, self.limits.page);
        let (destination, mappings) = (&self.destination, &*self.mappings);
        let route = Route { opened: &opened, destination, mappings, limits: self.limits };
        let opener = &self.opener;
        let close = async |session, end| opener.close(session, end).await;
        let pipeline = Pipeline::new(route, &mut self.states, &mut self.quarantine);
        let mut report = pipeline.run(session, pages, close).await;
        self.opener.remember(&mut report);
        report.outcomes.splice(..0, ahead.into_iter().chain(waiting));
        if let Some(error) = &report.write_failure {
            self.health.not_ready(DESTINATION, error.to_string());
        }
        let mut flushed = Flushed::fold(hints, head, report);
        self.opener.note_behind(&mut flushed, hints);
        flushed.foreign = foreign;
        flushed
    }

    /// How long to wait before what the replica is behind with is announced again.
    pub(crate) fn replica_wait(&mut self, flushed: &Flushed) -> Duration {
        self.opener.replica_wait(&flushed.behind, flushed.head)
    }

    /// Whether source and destination have answered when they were last asked.
    pub(crate) fn is_answered(&self) -> bool {
        [SOURCE, DESTINATION].iter().all(|part| self.health.is_ready(part) != Some(false))
    }

    /// Whether source and destination answer.
    ///
    /// # Errors
    /// What the one that does not answer said.
    pub async fn check(&mut self) -> Result<(), String> {
        // A tenancy that nobody has: asked for none, the destination would not be asked at all.
        let mut nobody = Hints::default();
        nobody.add(TenancyId::new(Uuid::nil()), self.mappings.all().take(1), SequenceId::BASE);
        let opened = self.opener.open(&self.destination, &nobody, &self.mappings).await;
        let (session, _) = opened.map_err(|error| error.to_string())?;
        let end = match session.end().await {
            Ok(()) => open::SessionEnd::Usable,
            Err(_) => open::SessionEnd::Broken,
        };
        self.opener.close(session, end).await;
        Ok(())
    }
}
