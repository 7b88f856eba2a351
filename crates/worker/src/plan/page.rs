//! One page of one mapping: checks every row on its way, and knows afterwards where the cursors may go.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, RowHead};
use lockstep_mappings::postgres::fetch::{PageLimits, Work};

use crate::error::Violation;
use crate::lookup::{Residence, Residences, is_at};

/// A row that cannot be written: its tenancy stops before it, the others go on (FAIR-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) tenancy: TenancyId,
    pub(crate) error: CodecError,
}

/// What a page that was read to its end allows.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Settled {
    /// Cursors that move, with where they stood: once the page's rows are durable, not before (CUR-1).
    pub(crate) forward: Vec<(Work, SequenceId)>,
    /// Tenancies that a limit kept from being read whole: first those of which nothing was read, so that their turn comes
    /// before the next page of the huge ones (FAIR-1).
    pub(crate) continued: Vec<TenancyId>,
    /// Rows that stand in the way of their tenancies.
    pub(crate) refusals: Vec<Refusal>,
    /// Rows read.
    pub(crate) rows: u32,
}

impl Settled {
    /// Leaves the cursors of these tenancies where they are: their page has to be read again.
    pub(crate) fn leave(&mut self, tenancies: &[TenancyId]) {
        self.forward.retain(|(work, _)| !tenancies.contains(&work.tenancy));
        self.continued.retain(|tenancy| !tenancies.contains(tenancy));
        self.continued.extend(tenancies);
    }
}

/// How far one tenancy's rows have come in this page.
struct Progress {
    last: SequenceId,
    rows: u32,
    refused: Option<CodecError>,
}

/// A page that is being read. Rows must come tenancy by tenancy in the order of `work`, each tenancy's by sequence.
pub(crate) struct Page<'a> {
    work: Vec<(Work, &'a Residence)>,
    progress: Vec<Progress>,
    limits: PageLimits,
    /// The tenancy whose rows come at the moment, as an index into `work`.
    at: usize,
    rows: u32,
    stopped: bool,
}

impl<'a> Page<'a> {
    /// A page of these tenancies; those that do not exist are left out.
    pub(crate) fn new(work: impl IntoIterator<Item = Work>, residences: &'a Residences, limits: PageLimits) -> Self {
        let known = work.into_iter().filter_map(|work| Some((work, residences.get(work.tenancy)?)));
        let work: Vec<_> = known.collect();
        let progress = work.iter().map(|(work, _)| Progress { last: work.after, rows: 0, refused: None }).collect();
        Self { work, progress, limits, at: 0, rows: 0, stopped: false }
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
        if progress.refused.is_some() {
            return Ok(false);
        }
        progress.last = head.sequence;
        Ok(true)
    }

    /// Takes note of a row that cannot be written.
    ///
    /// # Errors
    /// As [`Page::accept`].
    pub(crate) fn refuse(&mut self, tenancy: TenancyId, error: CodecError) -> Result<(), Violation> {
        self.turn_to(tenancy)?;
        let progress = &mut self.progress[self.at];
        self.rows += 1;
        progress.rows += 1;
        progress.refused.get_or_insert(error);
        Ok(())
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

    /// The page ended. `head` is the last sequence that was stamped in the snapshot that was read: whatever a tenancy
    /// has up to there was in the page, if the page holds all its rows (SEQ-1).
    pub(crate) fn settle(self, head: SequenceId) -> Settled {
        let cut = self.stopped || self.rows >= self.limits.total_rows;
        let mut settled = Settled { rows: self.rows, ..Settled::default() };
        let mut limited = Vec::new();
        for (index, ((work, _), progress)) in self.work.into_iter().zip(self.progress).enumerate() {
            let reached = !cut || index < self.at;
            let whole = reached && progress.rows < self.limits.tenancy_rows && progress.refused.is_none();
            let forward = if whole { progress.last.max(head) } else { progress.last };
            if forward > work.after {
                settled.forward.push((work, forward));
            }
            match progress.refused {
                Some(error) => settled.refusals.push(Refusal { tenancy: work.tenancy, error }),
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
