//! One look at the source, and the pass that follows when something waits.

mod look;
mod pass;
mod tally;
mod touches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_schema::{Source, SourceError};
use tokio::time::timeout;

use crate::error::{SequencerError, is_of_statement};
use crate::plan::load::Load;
use crate::plan::polling::Found;
use crate::plan::rests::{Part, Rests};
use crate::plan::touches::Walk;
use crate::storage::lanes::TenantKey;
use crate::storage::session::StampingSession;
use crate::witness::Witness;

/// The longest that one look with its pass may take. The server's own limits end sooner, where the server still lives.
const POLL_DEADLINE: Duration = Duration::from_secs(120);

/// Stamps what waits, one pass at a time. Knows nothing of leadership: two may run side by side, and SEQ-1 holds.
///
/// Connects when it first looks and again whenever a connection was lost.
pub struct Stamper {
    source: Source,
    mappings: Arc<MappingSet>,
    session: Option<StampingSession>,
    state: State,
    witness: Option<Witness>,
}

/// What is remembered from pass to pass, and across connections.
#[derive(Default)]
struct State {
    lanes: Vec<LaneState>,
    first_lane: usize,
    walk: Walk,
    touch_load: Load,
    rests: Rests,
    /// Each lane is asked by itself: asking all at once fails.
    asks_one_by_one: bool,
}

#[derive(Default)]
struct LaneState {
    load: Load,
    /// Where the walk over tenants goes on; none: at the beginning.
    tenant: Option<TenantKey>,
}

/// What one look and its pass came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Rows that got a number, tombstones included.
    pub stamped_rows: i64,
    /// Tenancies that were written to the outbox.
    pub announced_tenancies: usize,
    /// Touches that have nothing left to stamp.
    pub finished_touches: usize,
    /// Callers of `lockstep wait` that were answered.
    pub answered_fences: usize,
    /// Whether more is waiting than was done at once.
    pub more: bool,
    /// Whether an operator has stopped stamping (`lockstep fusebox`).
    pub stopped: bool,
}

impl Report {
    pub(crate) const fn found(&self) -> Found {
        let worked = self.stamped_rows > 0 || self.finished_touches > 0 || self.answered_fences > 0;
        match (worked, self.more) {
            (false, _) => Found::Nothing,
            (true, false) => Found::News,
            (true, true) => Found::More,
        }
    }
}

/// Why a pass failed, and which part of it, where that is known.
struct Failure {
    part: Option<Part>,
    error: SourceError,
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self { part: None, error }
    }
}

impl Failure {
    fn of(part: Part) -> impl FnOnce(SourceError) -> Self {
        |error| Self { part: Some(part), error }
    }
}

impl Stamper {
    /// Will stamp the rows of these mappings. Connects to nothing yet.
    pub fn new(source: Source, mappings: Arc<MappingSet>) -> Self {
        Self { source, mappings, session: None, state: State::default(), witness: None }
    }

    /// The same, but nothing is stamped on a server before this ClickHouse was asked whether the source there has been
    /// restored to an earlier state (SRC-1).
    #[must_use]
    pub fn witnessed_by(mut self, clickhouse: ClickHouse) -> Self {
        self.witness = Some(Witness::new(clickhouse, &self.mappings));
        self
    }

    /// Trusts nothing that was found out before: the next call connects anew.
    pub(crate) fn forget(&mut self) {
        self.session = None;
        if let Some(witness) = &mut self.witness {
            witness.forget();
        }
    }

    /// Looks whether anything waits, and if so does one pass: one transaction, which is committed when this returns.
    ///
    /// A table whose statement fails rests for a while and does not fail the call. Cancelling it undoes the pass.
    ///
    /// # Errors
    /// When the source cannot be reached, is not prepared, or cannot be used. Nothing of the pass is committed, except
    /// where the connection was lost during the commit: then all of it or nothing is.
    pub async fn poll(&mut self) -> Result<Report, SequencerError> {
        // The session is taken out while it is in use: a call that is cancelled or fails leaves none behind, and the
        // server undoes what it had begun.
        let session = self.session.take();
        let polling = timeout(POLL_DEADLINE, self.poll_with(session)).await;
        polling.unwrap_or_else(|_| Err(SourceError::Timeout(POLL_DEADLINE).into()))
    }

    async fn poll_with(&mut self, session: Option<StampingSession>) -> Result<Report, SequencerError> {
        let session = match session.filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => {
                let session = StampingSession::open(&self.source, &self.mappings).await?;
                if let Some(witness) = &mut self.witness {
                    witness.vouch_for(&session.client).await?;
                }
                session
            }
        };
        self.state.lanes.resize_with(session.lanes.len(), LaneState::default);
        match self.state.look_and_pass(&session).await {
            Ok(report) => {
                self.session = Some(session);
                Ok(report)
            }
            Err(Failure { part: Some(part), error }) if is_of_statement(&error) => {
                // The next call opens a session anew, which looks at the tables again: they may have changed.
                self.state.failed(&session, part, &error);
                Ok(Report::default())
            }
            Err(Failure { error, .. }) => Err(error.into()),
        }
    }
}

impl State {
    async fn look_and_pass(&mut self, session: &StampingSession) -> Result<Report, Failure> {
        let due = self.look(session).await?;
        if due.is_idle() {
            return Ok(Report { stopped: due.stopped, ..Report::default() });
        }
        pass::Pass::new(session, self).run(&due).await
    }

    fn failed(&mut self, session: &StampingSession, part: Part, error: &SourceError) {
        let name = match &part {
            Part::Lane(lane) => {
                self.lanes[*lane].load.failed();
                session.lanes[*lane].name.clone()
            }
            Part::Touches(target) => {
                self.touch_load.failed();
                format!("touches of {target}")
            }
        };
        let rest_ms = self.rests.failed(part, Instant::now()).as_millis();
        tracing::warn!(part = name, rest_ms, %error, "LS-0504: cannot be stamped at the moment; everything else goes on");
    }
}
