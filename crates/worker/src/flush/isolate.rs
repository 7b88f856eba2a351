//! Finding the rows that a destination refuses, or that the source cannot give: a page that did not get through is read
//! again in halves, until one row stands alone and can be set aside. Only those who are under suspicion are read in small
//! pages (FAIR-1).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::postgres::fetch::PageLimits;

use super::plan_pages::PagePlan;
use crate::mappings::MappingIndex;

/// So many rows that are refused one after another are not the rows' own fault: the table may have another shape.
pub(super) const MAX_IN_A_ROW: u32 = 100;
/// Pages with suspects in one flush, beside the page with everybody else.
const MAX_SUSPECT_PAGES: usize = 8;
/// Pages with suspects grow by this factor while nothing is refused.
const GROWTH: u32 = 4;
/// Suspects that are remembered; beyond it all are forgotten, which costs time only.
const MAX_SUSPECTS: usize = 65_536;

/// What of one tenancy went into a page that was refused, or should have gone into one that could not be read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct TenantRows {
    /// Rows and tombstones.
    pub(super) rows: u64,
    /// Their numbers, as far as they matter: the last row's, and those of tombstones for former locations.
    pub(super) sequences: BTreeSet<SequenceId>,
}

impl TenantRows {
    /// Rows that have not been read: one of these, and not the only one for all that is known, cannot be.
    pub(super) fn among(rows: u64) -> Self {
        Self { rows: rows.max(2), sequences: BTreeSet::new() }
    }
}

/// What went into a page, by tenancy. Those of which nothing did have no entry.
pub(super) type PageContent = BTreeMap<TenancyId, TenantRows>;

/// How many rows were refused one after another, of a mapping and of each tenancy of a page, while the page is read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Streaks {
    mapping: u32,
    tenancies: Vec<(TenancyId, u32)>,
    /// Whether any row was accepted or refused.
    is_begun: bool,
}

impl Streaks {
    /// A row of the tenancy at this position of the page is written.
    pub(super) fn accepted(&mut self, position: usize) {
        (self.mapping, self.tenancies[position].1, self.is_begun) = (0, 0, true);
    }

    /// Whether too many were refused before another row of the tenancy at this position.
    pub(super) fn are_hopeless(&self, position: usize) -> bool {
        self.mapping.max(self.tenancies[position].1) >= MAX_IN_A_ROW
    }

    /// A row of the tenancy at this position is refused.
    pub(super) fn refused(&mut self, position: usize) {
        self.mapping += 1;
        self.tenancies[position].1 += 1;
        self.is_begun = true;
    }
}

/// What follows from a page that did not get through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Its tenancies are to be read again: the next pages are smaller.
    Narrowed,
    /// All that it held carries these numbers of one tenancy.
    Found(TenancyId, BTreeSet<SequenceId>),
    /// Too many were refused in a row, or there is nothing to tell apart: it is not looked for any further.
    Hopeless,
}

/// Whom a row that is refused may belong to, for one mapping.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Isolation {
    suspects: HashMap<TenancyId, Suspect>,
    /// Rows refused since one of the mapping got through.
    in_a_row: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Suspect {
    /// How many tenancies may share a page with it.
    together: usize,
    /// How many of its rows are read at once.
    rows: u32,
    /// Among so many of its next rows is one that is refused.
    bad_within: Option<u64>,
    /// Rows refused since one of its own got through.
    in_a_row: u32,
}

const UNSUSPECTED: Suspect = Suspect { together: usize::MAX, rows: u32::MAX, bad_within: None, in_a_row: 0 };

impl Suspect {
    /// This many of its rows got through, and there are more.
    fn passed(&mut self, rows: u64) {
        self.together = if self.rows == u32::MAX { usize::MAX } else { 1 };
        self.bad_within = self.bad_within.and_then(|within| within.checked_sub(rows)).filter(|within| *within > 0);
        self.rows = match self.bad_within {
            Some(within) => half(within),
            None => self.rows.saturating_mul(GROWTH),
        };
    }
}

fn half(rows: u64) -> u32 {
    u32::try_from(rows / 2).unwrap_or(u32::MAX).max(1)
}

impl Isolation {
    /// The streaks with which a page of these tenancies begins.
    pub(super) fn streaks(&self, tenancies: impl Iterator<Item = TenancyId>) -> Streaks {
        let of = |tenancy| (tenancy, self.suspects.get(&tenancy).map_or(0, |suspect| suspect.in_a_row));
        Streaks { mapping: self.in_a_row, tenancies: tenancies.map(of).collect(), is_begun: false }
    }

    /// The pages to read of these tenancies, those under suspicion apart; and the tenancies that have to wait for another
    /// flush, so that nobody waits long for this one.
    pub(super) fn pages(
        &self,
        mapping: MappingIndex,
        tenancies: impl Iterator<Item = TenancyId>,
        most: PageLimits,
    ) -> (Vec<PagePlan>, Vec<TenancyId>) {
        let (suspects, others): (Vec<_>, Vec<_>) = tenancies.partition(|tenancy| self.suspects.contains_key(tenancy));
        let mut pages = Vec::new();
        if !others.is_empty() {
            pages.push(PagePlan { mapping, tenancies: others, limits: most });
        }
        let mut left = suspects.as_slice();
        for _ in 0..MAX_SUSPECT_PAGES {
            let Some((first, _)) = left.split_first() else { break };
            let together = |tenancy: &TenancyId| self.suspects.get(tenancy).map_or(1, |suspect| suspect.together);
            let mut size = 1;
            let mut room = together(first);
            while size < left.len() && room.min(together(&left[size])) > size {
                room = room.min(together(&left[size]));
                size += 1;
            }
            let (group, rest) = left.split_at(size);
            let rows = group.iter().filter_map(|tenancy| self.suspects.get(tenancy)).map(|suspect| suspect.rows).min();
            let rows = rows.unwrap_or(u32::MAX);
            let limits =
                PageLimits { tenancy_rows: most.tenancy_rows.min(rows), total_rows: most.total_rows.min(rows) };
            pages.push(PagePlan { mapping, tenancies: group.to_vec(), limits });
            left = rest;
        }
        (pages, left.to_vec())
    }

    /// A page was refused or could not be read, for a reason that lies in one of these rows.
    pub(super) fn refused(&mut self, content: &PageContent) -> Refused {
        let mut whose = content.iter();
        let Some((tenancy, own)) = whose.next() else { return Refused::Hopeless };
        if self.in_a_row >= MAX_IN_A_ROW {
            return Refused::Hopeless;
        }
        if self.suspects.len() + content.len() > MAX_SUSPECTS {
            self.suspects.clear();
        }
        if whose.len() > 0 {
            for tenancy in content.keys() {
                let suspect = self.suspects.entry(*tenancy).or_insert(UNSUSPECTED);
                suspect.together = suspect.together.min((content.len() / 2).max(1));
            }
            return Refused::Narrowed;
        }
        let suspect = self.suspects.entry(*tenancy).or_insert(UNSUSPECTED);
        let is_one = own.rows == 1 || suspect.rows == 1;
        suspect.together = 1;
        if !is_one {
            suspect.bad_within = Some(own.rows);
            suspect.rows = half(own.rows).min((suspect.rows / 2).max(1));
            return Refused::Narrowed;
        }
        suspect.rows = 1;
        suspect.bad_within = None;
        if suspect.in_a_row >= MAX_IN_A_ROW || own.sequences.len() > MAX_IN_A_ROW as usize {
            return Refused::Hopeless;
        }
        suspect.in_a_row += 1;
        self.in_a_row += 1;
        Refused::Found(*tenancy, own.sequences.clone())
    }

    /// A page got through, and `more` of its tenancies have further rows.
    pub(super) fn passed(&mut self, streaks: &Streaks, content: &PageContent, more: &[TenancyId], most: PageLimits) {
        if streaks.is_begun {
            self.in_a_row = streaks.mapping;
        }
        let more: HashSet<_> = more.iter().collect();
        for (tenancy, in_a_row) in &streaks.tenancies {
            if *in_a_row > 0 {
                self.suspects.entry(*tenancy).or_insert(UNSUSPECTED);
            }
            let Some(suspect) = self.suspects.get_mut(tenancy) else { continue };
            suspect.in_a_row = *in_a_row;
            let passed = content.get(tenancy).map_or(0, |own| own.rows);
            let has_more = more.contains(tenancy);
            if has_more && passed > 0 {
                suspect.passed(passed);
            }
            let at_ease = !has_more || (suspect.rows >= most.tenancy_rows && suspect.together == usize::MAX);
            let grown = suspect.bad_within.is_none() && suspect.rows >= most.tenancy_rows && passed > 0;
            if suspect.in_a_row == 0 && (at_ease || grown) {
                self.suspects.remove(tenancy);
            }
        }
    }
}

#[cfg(test)]
mod tests;
