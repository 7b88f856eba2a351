//! What every row passes before it is written: its tenancy and place are checked on the way (ISO-1), and afterwards it is
//! known where the cursors may go.

use std::collections::HashMap;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{Keeps, PageWriter};
use lockstep_mappings::codec::{CodecError, Row, RowHead};
use lockstep_mappings::postgres::fetch::{PageLimits, ReadFrom};

use super::isolate::{Isolation, MAX_IN_A_ROW, PageContent, Streaks, TenantRows};
use super::write_page::OpenPage;
use crate::error::{ShipError, Violation, refusal_code};
use crate::storage::{LocationsByTenancy, TenancyLocations, is_at};

/// Rows of one page that are refused; where there are more, the next page begins with them.
const MAX_REFUSALS: usize = 1_000;

/// Checks rows and pushes those that may be written.
pub(crate) trait RowFilter<P> {
    /// Pushes the row into the page, unless it is not to be written.
    ///
    /// # Errors
    /// The read must not go on, and the page must not be ended.
    fn accept(&mut self, row: &Row<'_>, page: &mut OpenPage<P>) -> Result<(), ShipError>;

    /// Called before rows leave this process.
    ///
    /// # Errors
    /// As [`RowFilter::accept`].
    async fn verify_before_send(&mut self) -> Result<(), ShipError> {
        Ok(())
    }
}

/// Pushes a row that cannot be told from the others: where it cannot be written, the whole read fails.
pub(crate) fn push<P: PageWriter>(row: &Row<'_>, page: &mut OpenPage<P>) -> Result<(), ShipError> {
    page.push(row).map_err(|error| match error.is_of_row() {
        true => ShipError::Refused { tenancy: row.head.tenancy, error },
        false => error.into(),
    })
}

/// A row that cannot be written: its tenancy's later rows go on (FAIR-1).
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
pub(super) struct ReadPage {
    /// Cursors that move, with where they stood: once the page's rows are durable, not before (CUR-1).
    pub(super) cursors: Vec<(ReadFrom, SequenceId)>,
    /// Tenancies that a limit kept from being read whole: first those of which nothing was read, so that their turn comes
    /// before the next page of the huge ones (FAIR-1).
    pub(super) more: Vec<TenancyId>,
    /// Rows that the cursors pass without being written: once the quarantine holds them.
    pub(super) refusals: Vec<Refusal>,
    /// Whether the quarantine holds the refusals.
    pub(super) is_recorded: bool,
    /// Tenancies with too many rows in a row that cannot be written: they stop before the next, which says why.
    pub(super) stuck: Vec<(TenancyId, CodecError)>,
    /// What is written of each tenancy.
    pub(super) content: PageContent,
    pub(super) streaks: Streaks,
}

impl ReadPage {
    /// Leaves the cursors of these tenancies where they are.
    pub(super) fn stop(&mut self, tenancies: &[TenancyId]) {
        self.cursors.retain(|(work, _)| !tenancies.contains(&work.tenancy));
        self.refusals.retain(|refusal| !tenancies.contains(&refusal.tenancy));
        self.more.retain(|tenancy| !tenancies.contains(tenancy));
        self.stuck.retain(|(tenancy, _)| !tenancies.contains(tenancy));
    }

    /// The cursors that need not wait for the quarantine.
    pub(super) fn cursors_of_rows(&self) -> Vec<(TenancyId, SequenceId)> {
        let has_refusals =
            |tenancy| !self.is_recorded && self.refusals.iter().any(|refusal| refusal.tenancy == tenancy);
        let moving = self.cursors.iter().filter(|(work, _)| !has_refusals(work.tenancy));
        moving.map(|(work, to)| (work.tenancy, *to)).collect()
    }
}

/// How far one tenancy's rows have come in this page.
#[derive(Debug)]
struct Progress {
    last: SequenceId,
    rows: u32,
    accepted: u32,
    last_accepted: SequenceId,
    stuck: Option<CodecError>,
}

/// The rows of a page. They must come tenancy by tenancy in the order of `work`, each tenancy's by sequence.
pub(super) struct PageRows<'a> {
    work: Vec<(ReadFrom, &'a TenancyLocations)>,
    progress: Vec<Progress>,
    limits: PageLimits,
    refusals: Vec<Refusal>,
    streaks: Streaks,
    /// The tenancy whose rows come at the moment, as an index into `work`.
    at: usize,
    rows: u32,
    stopped: bool,
    /// As many rows are refused as may be: nothing more is taken.
    full: bool,
    keeps: Keeps,
}

impl<'a> PageRows<'a> {
    /// Rows of these tenancies; those that do not exist are left out.
    pub(super) fn new(
        work: impl IntoIterator<Item = ReadFrom>,
        locations: &'a LocationsByTenancy,
        limits: PageLimits,
        isolation: &Isolation,
    ) -> Self {
        let known = work.into_iter().filter_map(|work| Some((work, locations.get(work.tenancy)?)));
        let work: Vec<_> = known.collect();
        let begun = |last| Progress { last, rows: 0, accepted: 0, last_accepted: last, stuck: None };
        let progress = work.iter().map(|(work, _)| begun(work.after)).collect();
        let streaks = isolation.streaks(work.iter().map(|(work, _)| work.tenancy));
        Self {
            work,
            progress,
            limits,
            refusals: Vec::new(),
            streaks,
            at: 0,
            rows: 0,
            stopped: false,
            full: false,
            keeps: Keeps::Versions,
        }
    }

    /// For a destination that keeps this: where a tenancy lives does not matter to one that has its rows alone.
    pub(super) const fn of(mut self, keeps: Keeps) -> Self {
        self.keeps = keeps;
        self
    }

    /// The tenancies and their cursors, in order.
    pub(super) fn work(&self) -> Vec<ReadFrom> {
        self.work.iter().map(|(work, _)| *work).collect()
    }

    /// Takes note of a row that can be written if `pushed` says so. Returns `false` where it is not.
    ///
    /// # Errors
    /// The row is not one that was asked for (ISO-1), or not in order.
    fn take(&mut self, head: &RowHead<'_>, push: impl FnOnce() -> Result<(), CodecError>) -> Result<bool, ShipError> {
        if !self.check(head)? {
            return Ok(false);
        }
        let progress = &mut self.progress[self.at];
        match push() {
            Ok(()) => {
                (progress.last, progress.last_accepted) = (head.sequence, head.sequence);
                progress.accepted += 1;
                self.streaks.accepted(self.at);
                return Ok(true);
            }
            Err(error) if !error.is_of_row() => return Err(error.into()),
            Err(error) if self.streaks.are_hopeless(self.at) => progress.stuck = Some(error),
            Err(_) if self.refusals.len() >= MAX_REFUSALS => self.full = true,
            Err(error) => {
                progress.last = head.sequence;
                self.streaks.refused(self.at);
                let (tenancy, sequence, code) = (head.tenancy, head.sequence, refusal_code(&error));
                let error = ShipError::Refused { tenancy, error }.to_string();
                self.refusals.push(Refusal { tenancy, sequence, code, error });
            }
        }
        Ok(false)
    }

    /// Checks a row and counts it. Returns `false` where nothing of its tenancy is taken any more.
    fn check(&mut self, head: &RowHead<'_>) -> Result<bool, Violation> {
        if self.full {
            return Ok(false);
        }
        let locations = self.turn_to(head.tenancy)?;
        if self.keeps == Keeps::Versions && !is_at(head, &locations.now) {
            return Err(Violation::Location(head.tenancy));
        }
        let progress = &mut self.progress[self.at];
        if head.sequence <= progress.last {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence });
        }
        self.rows += 1;
        progress.rows += 1;
        Ok(progress.stuck.is_none())
    }

    /// Rows that come are those of `tenancy`: where it comes after the last one's, it is its turn now.
    fn turn_to(&mut self, tenancy: TenancyId) -> Result<&'a TenancyLocations, Violation> {
        while let Some((work, locations)) = self.work.get(self.at) {
            if work.tenancy == tenancy {
                return Ok(locations);
            }
            self.at += 1;
        }
        Err(Violation::Tenancy(tenancy))
    }

    /// No more rows are read, though there may be some.
    pub(super) const fn stop(&mut self) {
        self.stopped = true;
    }

    /// What was accepted so far.
    pub(super) fn content(&self) -> PageContent {
        let accepted = self.work.iter().zip(&self.progress).filter(|(_, progress)| progress.accepted > 0);
        let own = |progress: &Progress| TenantRows {
            rows: progress.accepted.into(),
            sequences: [progress.last_accepted].into(),
        };
        accepted.map(|((work, _), progress)| (work.tenancy, own(progress))).collect()
    }

    /// The tenancies that may have the row which the source could not give: it comes behind all that came, since those come
    /// in order. And among how many of their next rows it is: two at least, since no row is known to stand alone.
    pub(super) fn suspects(&self) -> PageContent {
        let left = self.work.iter().zip(&self.progress).skip(self.at);
        left.map(|((work, _), progress)| (work.tenancy, TenantRows::among(u64::from(progress.rows) + 1))).collect()
    }

    /// The page ended. `head` is the last number given out in the snapshot that was read: whatever a tenancy
    /// has up to there was in the page, if the page holds all its rows (SEQ-1).
    pub(super) fn finish(self, head: SequenceId) -> ReadPage {
        let cut = self.stopped || self.full || self.rows >= self.limits.total_rows;
        let mut page = ReadPage { content: self.content(), ..ReadPage::default() };
        (page.refusals, page.streaks) = (self.refusals, self.streaks);
        let mut limited = Vec::new();
        for (index, ((work, _), progress)) in self.work.into_iter().zip(self.progress).enumerate() {
            let reached = !cut || index < self.at;
            let whole = reached && progress.rows < self.limits.tenancy_rows && progress.stuck.is_none();
            let to = if whole { progress.last.max(head) } else { progress.last };
            if to > work.after {
                page.cursors.push((work, to));
            }
            match progress.stuck {
                Some(error) => page.stuck.push((work.tenancy, error)),
                None if whole => {}
                None if progress.rows == 0 => page.more.push(work.tenancy),
                None => limited.push(work.tenancy),
            }
        }
        page.more.extend(limited);
        page
    }
}

impl<P: PageWriter> RowFilter<P> for PageRows<'_> {
    fn accept(&mut self, row: &Row<'_>, page: &mut OpenPage<P>) -> Result<(), ShipError> {
        self.take(&row.head, || page.push(row)).map(drop)
    }
}

/// What changes of tenancies have made of their former locations: rows of whoever lives there now, and tombstones.
pub(super) struct FormerRows<'a> {
    expected: HashMap<TenancyId, (&'a TenancyLocations, ReadFrom, SequenceId)>,
    content: &'a mut PageContent,
}

impl<'a> FormerRows<'a> {
    /// Of these tenancies, each with its cursor and where that will stand. What is accepted is added to `content`.
    pub(super) fn new(
        moved: &[(ReadFrom, SequenceId)],
        locations: &'a LocationsByTenancy,
        content: &'a mut PageContent,
    ) -> Self {
        let expected = moved
            .iter()
            .filter_map(|(work, up_to)| Some((work.tenancy, (locations.get(work.tenancy)?, *work, *up_to))));
        Self { expected: expected.collect(), content }
    }
}

impl<P: PageWriter> RowFilter<P> for FormerRows<'_> {
    fn accept(&mut self, row: &Row<'_>, page: &mut OpenPage<P>) -> Result<(), ShipError> {
        let head = &row.head;
        let Some((locations, work, up_to)) = self.expected.get(&head.tenancy) else {
            return Err(Violation::Tenancy(head.tenancy).into());
        };
        if !locations.former.iter().any(|former| is_at(head, former)) {
            return Err(Violation::Location(head.tenancy).into());
        }
        if head.sequence <= work.after || head.sequence > *up_to {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence }.into());
        }
        push(row, page)?;
        let own = self.content.entry(head.tenancy).or_default();
        own.rows += 1;
        // One more than are ever refused together tells that there are too many.
        if own.sequences.len() <= MAX_IN_A_ROW as usize {
            own.sequences.insert(head.sequence);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
