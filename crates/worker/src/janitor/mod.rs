//! The janitor: takes away for good what nobody may or need keep (ERASE-1). One worker at a time does it.
//!
//! Two duties, each in bounded steps, each of which can be repeated: tenancies that are gone are erased from the destination
//! ([`erasing`]), with a receipt; tombstones that nothing can need any more are dropped from it ([`cleaning`]).
//!
//! All of it relies on one promise: what was read from the source is written within `late_write_limit`, or never
//! ([`lockstep_destinations::WriteWindow`]). The janitor waits longer than that before it takes away what such a write
//! would have been hidden by, or what would have been taken away with it.

mod cleaning;
mod erasing;
mod places;
mod shared;

use std::time::{Duration, Instant};

use lockstep_core::telemetry::{Kind, Span};
use lockstep_destinations::{Destination, DestinationError, Erase};
use lockstep_mappings::MappingSet;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};

pub(crate) use self::places::{Due, Place, RowsOf};
use crate::limits::Limits;
use crate::metrics;
use crate::pace::jittered;
use crate::storage::janitor::JanitorSession;

/// What a round did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Round {
    /// Tenancies that were erased, and proven to be.
    pub erased: usize,
    /// Tombstones that were dropped from the destination.
    pub dropped: u64,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum JanitorError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Rows that were removed are still there.
    #[error("LS-0440: {left} rows of {mapping} are left after an erasure; it is done again")]
    Left {
        /// Whose rows.
        mapping: String,
        /// How many.
        left: u64,
    },
    /// The destination is still at what was asked for before.
    #[error(
        "LS-0442: {under_way} statements that rewrite {mapping} are not done yet; nothing is asked for again before"
    )]
    Rewriting {
        /// Of which table.
        mapping: String,
        /// How many.
        under_way: u64,
    },
}

impl From<tokio_postgres::Error> for JanitorError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Source(error.into())
    }
}

/// The janitor of one worker.
pub struct Janitor<D> {
    source: Source,
    destination: D,
    set: MappingSet,
    limits: Limits,
    session: Option<JanitorSession>,
    /// The mapping that is looked at next, and when each was looked at last.
    next_to_clean: usize,
    looked_at: Vec<Option<Instant>>,
}

impl<D: Destination + Erase> Task for Janitor<D> {
    const NAME: &'static str = "janitor";
    /// The next run goes on where one that took longer stopped.
    const TIMEOUT: Duration = Duration::from_secs(60 * 60);
    /// It keeps its own: tests run single rounds.
    type Session = ();
    type Error = JanitorError;

    async fn open(&self, _: &Source) -> Result<(), JanitorError> {
        Ok(())
    }

    async fn run(&mut self, _: &Source, (): &mut ()) -> Result<Ran, JanitorError> {
        let (round, every) = self.round_and_wait().await?;
        let Some(round) = round else { return Ok(Ran::left_to_another(every)) };
        Ok(Ran::did(round.erased + usize::try_from(round.dropped).unwrap_or(usize::MAX), every))
    }
}

impl<D: Destination + Erase> Janitor<D> {
    /// Connects in its first round.
    pub fn new(source: Source, destination: D, set: MappingSet, limits: Limits) -> Self {
        let looked_at = vec![None; set.iter().count()];
        Self { source, destination, set, limits, session: None, next_to_clean: 0, looked_at }
    }

    /// Does what is due, if it is this worker that does it.
    ///
    /// # Errors
    /// Whatever source or destination fail with. What was not done is done by the next round.
    pub async fn round(&mut self) -> Result<Round, JanitorError> {
        Ok(self.round_and_wait().await?.0.unwrap_or_default())
    }

    /// Returns what was done, or `None` where another worker does it, and how long to wait: shorter than the waits that it keeps.
    async fn round_and_wait(&mut self) -> Result<(Option<Round>, Duration), JanitorError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => JanitorSession::open(&self.source, &self.set).await?,
        };
        let (mut round, mut every) = (None, self.limits.janitor_every);
        if session.lead().await? {
            let wait = session.late_write_wait().await?;
            every = every.min(wait / 4);
            let span = Span::begin(Kind::Internal, || "janitor.round".to_owned());
            let done = span.around(self.work(&session, wait)).await.inspect_err(|_| span.failed("round"))?;
            span.count("lockstep.erased", done.erased);
            round = Some(done);
        }
        self.session = Some(session);
        Ok((round, jittered(every)))
    }

    async fn work(&mut self, session: &JanitorSession, wait: Duration) -> Result<Round, JanitorError> {
        let (mut noticed, mut round) = (0, Round::default());
        loop {
            let (new, more) = self.notice(session).await?;
            noticed += new;
            if !more {
                break;
            }
        }
        if noticed > 0 {
            let wait_s = wait.as_secs();
            tracing::info!(tenancies = noticed, wait_s, "tenancies are gone and hidden: they will be erased");
        }
        loop {
            let erased = self.erase(session).await?;
            round.erased += erased;
            if erased < self.limits.erasures_at_once as usize {
                break;
            }
        }
        round.dropped = self.clean(session, wait).await?;
        metrics::janitor(&round);
        Ok(round)
    }
}
