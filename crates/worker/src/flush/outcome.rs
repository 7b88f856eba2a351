//! What became of a flush: one outcome for each pair of a tenancy and a mapping, folded into what has to be done next.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::DestinationError;

use super::cursor_write::CursorMoves;
use crate::error::{Retry, ShipError};
use crate::hints::Hints;
use crate::mappings::{MappingIndex, Mappings};
use crate::metrics;

/// Work that failed in a way that trying again at once does not mend.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which tenancies and mappings.
    pub hints: Hints,
    /// Why. Holds no values.
    pub reason: String,
}

/// What became of a flush. What is in none of these is done: durable, cursors moved.
#[derive(Default, Debug)]
pub struct Flushed {
    /// A limit cut their pages: they have more.
    pub more: Hints,
    /// To be given back to the queue, and to come again later.
    pub failed: Vec<Failed>,
    /// Not done through no fault of theirs: to be tried again.
    pub retry: Hints,
    /// Why something is to be tried again.
    pub retry_reason: Option<String>,
    /// The source or the destination as a whole does not answer, so nothing was tried.
    pub outage: bool,
    /// Done as far as the replica goes, which has not replayed their last changes: to be announced again later.
    pub behind: Hints,
    /// Of mappings that are set up otherwise than this worker knows them: to be announced again later, for other workers.
    pub foreign: Hints,
    /// Not tried, because they are paused: the sweep finds them when they are resumed.
    pub paused: Hints,
    /// Up to which number the snapshot held everything.
    pub head: SequenceId,
    /// Rows that were shipped.
    pub rows: u64,
    /// Bytes of them, as the destination encodes them.
    pub bytes: u64,
    /// Rows that the destination refused; the quarantine holds them.
    pub quarantined: u64,
    /// Cursors that are still to be written. Until they are, nothing of this is done.
    pub cursors: Option<CursorMoves>,
    /// The last failure of the destination to answer, or to take rows or cursors.
    pub destination_failure: Option<DestinationError>,
}

impl Flushed {
    /// Nothing was tried, because the source or the destination does not answer.
    pub(super) fn outage(hints: &Hints, error: &ShipError) -> Self {
        metrics::failed(error.kind());
        let destination_failure = match error {
            ShipError::Destination(error) => Some(error.clone()),
            _ => None,
        };
        let retry_reason = Some(error.to_string());
        Self { retry: hints.clone(), retry_reason, outage: true, destination_failure, ..Self::default() }
    }

    /// Of a flush of these hints, from a snapshot that holds everything up to `head`.
    pub(super) fn fold(hints: &Hints, head: SequenceId, report: Report) -> Self {
        let Report { rows, bytes, quarantined, cursors, write_failure: destination_failure, .. } = report;
        let mut flushed = Self { head, rows, bytes, quarantined, cursors, destination_failure, ..Self::default() };
        for PairsOutcome { mapping, tenancies, outcome } in report.outcomes {
            let add_to = |into: &mut Hints, least: SequenceId| {
                tenancies.iter().for_each(|tenancy| into.add(*tenancy, [mapping], hints.up_to(*tenancy).max(least)));
            };
            match outcome {
                // Whoever goes on must see what was seen here, from whatever replica.
                Outcome::MorePages => add_to(&mut flushed.more, head),
                Outcome::NotTried => add_to(&mut flushed.retry, SequenceId::BASE),
                Outcome::Retry(reason) => {
                    add_to(&mut flushed.retry, SequenceId::BASE);
                    flushed.retry_reason = Some(reason);
                }
                Outcome::Requeue(reason) => {
                    let mut failed = Hints::default();
                    add_to(&mut failed, SequenceId::BASE);
                    flushed.failed.push(Failed { hints: failed, reason });
                }
            }
        }
        flushed
    }

    /// Takes note of pairs that are done as far as the snapshot goes, and whose last changes it did not hold.
    pub(super) fn note_behind(&mut self, hints: &Hints) {
        let mut behind = hints.clone();
        let is_done = |tenancy, mapping| {
            let failed = self.failed.iter().any(|failed| failed.hints.has(tenancy, mapping));
            !failed && !self.more.has(tenancy, mapping) && !self.retry.has(tenancy, mapping)
        };
        behind.retain(|tenancy, mapping| hints.up_to(tenancy) > self.head && is_done(tenancy, mapping));
        self.behind = behind;
    }

    /// Adds what became of another flush, of what was to be tried again in this one.
    pub(crate) fn continue_with(&mut self, next: Self) {
        self.more.merge(&next.more);
        self.failed.extend(next.failed);
        self.behind.merge(&next.behind);
        self.foreign.merge(&next.foreign);
        self.paused.merge(&next.paused);
        self.head = next.head;
        (self.retry, self.retry_reason, self.outage) = (next.retry, next.retry_reason, next.outage);
        self.cursors = next.cursors;
    }
}

/// Why pairs are not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// A limit cut their page.
    MorePages,
    /// Another page took the session or the destination with it.
    NotTried,
    /// They failed for this reason, through no fault of theirs.
    Retry(String),
    /// They failed for this reason, perhaps through their own fault.
    Requeue(String),
}

/// What became of some tenancies' rows of one mapping. Each pair has one outcome at most; one without any is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PairsOutcome {
    pub(super) mapping: MappingIndex,
    pub(super) tenancies: Vec<TenancyId>,
    pub(super) outcome: Outcome,
}

impl PairsOutcome {
    pub(super) const fn new(mapping: MappingIndex, tenancies: Vec<TenancyId>, outcome: Outcome) -> Self {
        Self { mapping, tenancies, outcome }
    }

    /// Rows did not get through: says so, and what follows from it.
    pub(super) fn failed(
        mappings: &Mappings,
        mapping: MappingIndex,
        tenancies: Vec<TenancyId>,
        error: &ShipError,
    ) -> Self {
        metrics::failed(error.kind());
        let name = mappings.name(mapping);
        let reason = format!("{name}: {error}");
        let outcome = match error.retry() {
            Retry::InPlace => Outcome::Retry(reason),
            Retry::Requeue => {
                tracing::error!(mapping = %name, tenancies = tenancies.len(), %error, "rows did not get through");
                Outcome::Requeue(reason)
            }
        };
        Self { mapping, tenancies, outcome }
    }
}

/// What became of some pages.
#[derive(Default)]
pub(super) struct Report {
    pub(super) outcomes: Vec<PairsOutcome>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) quarantined: u64,
    /// Cursors that are still to be written.
    pub(super) cursors: Option<CursorMoves>,
    /// Where cursors stand now, or will.
    pub(super) moved: Vec<(TenancyId, MappingIndex, SequenceId)>,
    /// The last failure of the destination to take rows or cursors.
    pub(super) write_failure: Option<DestinationError>,
}

impl Report {
    pub(super) fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.moved.extend(other.moved);
        self.cursors = other.cursors;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.quarantined += other.quarantined;
        self.write_failure = other.write_failure.or(self.write_failure.take());
    }
}
