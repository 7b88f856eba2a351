//! One page of one mapping: checks every row on its way, and knows afterwards where the cursors may go.

use std::collections::BTreeMap;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, RowHead};
use lockstep_mappings::postgres::fetch::{PageLimits, Work};

use super::isolation::{Extent, Extents, Isolation, MAX_IN_A_ROW};
use crate::error::{CANNOT_BE_WRITTEN, ShipError, Violation};
use crate::lookup::{Residence, Residences, is_at};

/// Rows of one page that are set aside; where there are more, the next page begins with them.
const MAX_REFUSALS: usize = 1_000;

/// A row that is set aside: its tenancy's later rows go on (FAIR-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) tenancy: TenancyId,
    pub(crate) sequence: SequenceId,
    /// Of `docs/errors`.
    pub(crate) code: &'static str,
    /// Without values.
    pub(crate) error: String,
}

/// What a page that was read to its end allows.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Settled {
    /// Cursors that move, with where they stood: once the page's rows are durable, not before (CUR-1).
    pub(crate) forward: Vec<(Work, SequenceId)>,
    /// Tenancies that a limit kept from being read whole: first those of which nothing was read, so that their turn comes
    /// before the next page of the huge ones (FAIR-1).
    pub(crate) continued: Vec<TenancyId>,
    /// Rows that the cursors pass without being written: once the quarantine holds them.
    pub(crate) refusals: Vec<Refusal>,
    /// Tenancies with too many rows in a row that cannot be written: they stop before the next, which says why.
    pub(crate) stuck: Vec<(TenancyId, CodecError)>,
    /// What is written of each tenancy.
    pub(crate) extents: Extents,
    /// How many rows in a row could not be written at the end of each tenancy of which any was read.
    pub(crate) streaks: BTreeMap<TenancyId, u32>,
    /// How many in a row could not be written at the end of the page, if any was read.
    pub(crate) in_a_row: Option<u32>,
    /// Rows read.
    pub(crate) rows: u32,
}

impl Settled {
    /// Leaves the cursors of these tenancies where they are: their page has to be read again.
    pub(crate) fn leave(&mut self, tenancies: &[TenancyId]) {
        self.stop(tenancies);
        self.continued.extend(tenancies);
    }

    /// Leaves the cursors of these tenancies where they are, and does not go on with them.
    pub(crate) fn stop(&mut self, tenancies: &[TenancyId]) {
        self.forward.retain(|(work, _)| !tenancies.contains(&work.tenancy));
        self.refusals.retain(|refusal| !tenancies.contains(&refusal.tenancy));
        self.continued.retain(|tenancy| !tenancies.contains(tenancy));
    }
}

/// How far one tenancy's rows have come in this page.
#[derive(Debug)]
struct Progress {
    last: SequenceId,
    rows: u32,
    accepted: u32,
    last_accepted: SequenceId,
    in_a_row: u32,
    stuck: Option<CodecError>,
}

/// A page that is being read. Rows must come tenancy by tenancy in the order of `work`, each tenancy's by sequence.
pub(crate) struct Page<'a> {
    work: Vec<(Work, &'a Residence)>,
    progress: Vec<Progress>,
    limits: PageLimits,
    refusals: Vec<Refusal>,
    in_a_row: u32,
    /// The tenancy whose rows come at the moment, as an index into `work`.
    at: usize,
    rows: u32,
    stopped: bool,
    /// As many rows are set aside as may be: nothing more is taken.
    full: bool,
}

impl<'a> Page<'a> {
    /// A page of these tenancies; those that do not exist are left out.
    pub(crate) fn new(
        work: impl IntoIterator<Item = Work>,
        residences: &'a Residences,
        limits: PageLimits,
        isolation: &Isolation,
    ) -> Self {
        let known = work.into_iter().filter_map(|work| Some((work, residences.get(work.tenancy)?)));
        let work: Vec<_> = known.collect();
        let begun = |work: &Work| {
            let (_, in_a_row) = isolation.in_a_row(work.tenancy);
            let last = work.after;
            Progress { last, rows: 0, accepted: 0, last_accepted: last, in_a_row, stuck: None }
        };
        let progress = work.iter().map(|(work, _)| begun(work)).collect();
        let in_a_row = work.first().map_or(0, |(work, _)| isolation.in_a_row(work.tenancy).0);
        let refusals = Vec::new();
        Self { work, progress, limits, refusals, in_a_row, at: 0, rows: 0, stopped: false, full: false }
    }

    /// The tenancies and their cursors, in order.
    pub(crate) fn work(&self) -> Vec<Work> {
        self.work.iter().map(|(work, _)| *work).collect()
    }

    /// Takes note of a row. False: its tenancy has stopped, it must not be written.
    ///
    /// # Errors
    /// The row is not one that was asked for (ISO-1), or not in order.
    pub(crate) fn accept(&mut self, head: &RowHead<'_>) -> Result<bool, Violation> {
        let Some(progress) = self.next(head)? else { return Ok(false) };
        (progress.last, progress.last_accepted) = (head.sequence, head.sequence);
        progress.accepted += 1;
        progress.in_a_row = 0;
        self.in_a_row = 0;
        Ok(true)
    }

    /// Takes note of a row that cannot be written: it is set aside, unless too many were, one after another.
    ///
    /// # Errors
    /// As [`Page::accept`].
    pub(crate) fn refuse(&mut self, head: &RowHead<'_>, error: CodecError) -> Result<(), Violation> {
        let (is_hopeless, is_full) = (self.in_a_row >= MAX_IN_A_ROW, self.refusals.len() >= MAX_REFUSALS);
        let Some(progress) = self.next(head)? else { return Ok(()) };
        if is_hopeless || progress.in_a_row >= MAX_IN_A_ROW {
            progress.stuck = Some(error);
        } else if is_full {
            self.full = true;
        } else {
            progress.last = head.sequence;
            progress.in_a_row += 1;
            self.in_a_row += 1;
            let why = ShipError::Refused { tenancy: head.tenancy, error };
            let (tenancy, sequence) = (head.tenancy, head.sequence);
            self.refusals.push(Refusal { tenancy, sequence, code: CANNOT_BE_WRITTEN, error: why.to_string() });
        }
        Ok(())
    }

    /// Checks a row and counts it. None: nothing of its tenancy is taken any more.
    fn next(&mut self, head: &RowHead<'_>) -> Result<Option<&mut Progress>, Violation> {
        if self.full {
            return Ok(None);
        }
        let residence = self.turn_to(head.tenancy)?;
        if !is_at(head, &residence.now) {
            return Err(Violation::Location(head.tenancy));
        }
        let progress = &mut self.progress[self.at];
        if head.sequence <= progress.last {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence });
        }
        self.rows += 1;
        progress.rows += 1;
        Ok(progress.stuck.is_none().then_some(progress))
    }

    /// Rows that come are those of `tenancy`: where it comes after the last one's, it is its turn now.
    fn turn_to(&mut self, tenancy: TenancyId) -> Result<&'a Residence, Violation> {
        while let Some((work, residence)) = self.work.get(self.at) {
            if work.tenancy == tenancy {
                return Ok(residence);
            }
            self.at += 1;
        }
        Err(Violation::Tenancy(tenancy))
    }

    /// No more rows are read, though there may be some.
    pub(crate) const fn stop(&mut self) {
        self.stopped = true;
    }

    /// What was accepted so far.
    pub(crate) fn extents(&self) -> Extents {
        let accepted = self.work.iter().zip(&self.progress).filter(|(_, progress)| progress.accepted > 0);
        let extent =
            |progress: &Progress| Extent { rows: progress.accepted.into(), sequences: [progress.last_accepted].into() };
        accepted.map(|((work, _), progress)| (work.tenancy, extent(progress))).collect()
    }

    /// The page ended. `head` is the last number given out in the snapshot that was read: whatever a tenancy
    /// has up to there was in the page, if the page holds all its rows (SEQ-1).
    pub(crate) fn settle(self, head: SequenceId) -> Settled {
        let cut = self.stopped || self.full || self.rows >= self.limits.total_rows;
        let in_a_row = (self.rows > 0).then_some(self.in_a_row);
        let mut settled = Settled { rows: self.rows, extents: self.extents(), in_a_row, ..Settled::default() };
        settled.refusals = self.refusals;
        let mut limited = Vec::new();
        for (index, ((work, _), progress)) in self.work.into_iter().zip(self.progress).enumerate() {
            let reached = !cut || index < self.at;
            let whole = reached && progress.rows < self.limits.tenancy_rows && progress.stuck.is_none();
            let forward = if whole { progress.last.max(head) } else { progress.last };
            if forward > work.after {
                settled.forward.push((work, forward));
            }
            if progress.rows > 0 {
                settled.streaks.insert(work.tenancy, progress.in_a_row);
            }
            match progress.stuck {
                Some(error) => settled.stuck.push((work.tenancy, error)),
                None if whole => {}
                None if progress.rows == 0 => settled.continued.push(work.tenancy),
                None => limited.push(work.tenancy),
            }
        }
        settled.continued.extend(limited);
        settled
    }
}

#[cfg(test)]
mod tests;
