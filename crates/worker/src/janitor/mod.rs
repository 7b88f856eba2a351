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

use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::{Destination, DestinationError, Erase};
use lockstep_mappings::MappingSet;
use lockstep_schema::{Source, SourceError};

pub(crate) use self::places::{Due, Place, RowsOf};
use crate::limits::Limits;
use crate::measure;
use crate::pace::jittered;
use crate::storage::janitor::JanitorSession;

/// A round that takes longer has failed; the next one goes on where it stopped.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60 * 60);

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
    /// The round took too long.
    #[error("LS-0441: erasing and cleaning up were not done within {} min; the next round goes on", ROUND_TIMEOUT.as_secs() / 60)]
    Timeout,
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

impl<D: Destination + Erase> Janitor<D> {
    /// Connects with the first round.
    pub fn new(source: Source, destination: D, set: MappingSet, limits: Limits) -> Self {
        let looked_at = vec![None; set.iter().count()];
        Self { source, destination, set, limits, session: None, next_to_clean: 0, looked_at }
    }

    /// One round after the other until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::for_connections();
        loop {
            let round = tokio::time::timeout(ROUND_TIMEOUT, self.round_and_pause());
            let Some(done) = shutdown.run_until_cancelled(round).await else { return };
            let wait = match done.unwrap_or(Err(JanitorError::Timeout)) {
                Ok((_, pause)) => {
                    backoff.reset();
                    jittered(pause)
                }
                Err(error) => {
                    self.session = None;
                    measure::failed("janitor");
                    let wait = backoff.next_wait();
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "erasing and cleaning up failed, trying again");
                    wait
                }
            };
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Does what is due, if it is this worker that does it.
    ///
    /// # Errors
    /// Whatever source or destination fail with. What was not done is done by the next round.
    pub async fn round(&mut self) -> Result<Round, JanitorError> {
        Ok(self.round_and_pause().await?.0)
    }

    /// Also how long to rest: shorter than the waits that it keeps.
    async fn round_and_pause(&mut self) -> Result<(Round, Duration), JanitorError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => JanitorSession::open(&self.source).await?,
        };
        let mut round = Round::default();
        let mut pause = self.limits.janitor_every;
        if session.lead().await? {
            let wait = session.late_write_wait().await?;
            pause = pause.min(wait / 4);
            self.work(&session, wait, &mut round).await?;
        }
        self.session = Some(session);
        Ok((round, pause))
    }

    async fn work(&mut self, session: &JanitorSession, wait: Duration, round: &mut Round) -> Result<(), JanitorError> {
        let mut noticed = 0;
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
        measure::janitor(round);
        Ok(())
    }
}
