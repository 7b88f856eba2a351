//! Finding the rows that a destination refuses: a page that was refused is read again in halves, until one row stands
//! alone and can be set aside. Only those who are under suspicion are read in small pages (FAIR-1).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::postgres::fetch::PageLimits;

use super::Settled;

/// So many rows that are refused one after another are not the rows' own fault: the table may have another shape.
pub(crate) const MAX_IN_A_ROW: u32 = 100;
/// Pages with suspects in one flush, beside the page with everybody else.
const MAX_SUSPECT_LOTS: usize = 8;
/// Pages with suspects grow by this factor while nothing is refused.
const GROWTH: u32 = 4;
/// Suspects that are remembered; beyond it all are forgotten, which costs time only.
const MAX_SUSPECTS: usize = 65_536;

/// One page that is to be read: whose rows of one mapping, and how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lot {
    /// The mapping's place.
    pub(crate) place: usize,
    pub(crate) tenancies: Vec<TenancyId>,
    pub(crate) limits: PageLimits,
}

/// What of one tenancy went into a page.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Extent {
    /// Rows and tombstones.
    pub(crate) rows: u64,
    /// Their numbers, as far as they matter: the last row's, and those of tombstones for former locations.
    pub(crate) sequences: BTreeSet<SequenceId>,
}

/// What went into a page, by tenancy. Those of which nothing did have no entry.
pub(crate) type Extents = BTreeMap<TenancyId, Extent>;

/// What follows from a refused page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// Its tenancies are to be read again: the next pages are smaller.
    Narrowed,
    /// All that it held carries these numbers of one tenancy.
    Found(TenancyId, BTreeSet<SequenceId>),
    /// Too many were refused in a row, or there is nothing to tell apart: it is not looked for any further.
    Hopeless,
}

/// Whom a row that is refused may belong to, for one mapping.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Isolation {
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
    /// How many rows in a row have been refused: of the mapping, and of one of its tenancies.
    pub(crate) fn in_a_row(&self, tenancy: TenancyId) -> (u32, u32) {
        (self.in_a_row, self.suspects.get(&tenancy).map_or(0, |suspect| suspect.in_a_row))
    }

    /// The pages to read of these tenancies, those under suspicion apart; and the tenancies that have to wait for another
    /// flush, so that nobody waits long for this one.
    pub(crate) fn lots(
        &self,
        place: usize,
        tenancies: impl Iterator<Item = TenancyId>,
        most: PageLimits,
    ) -> (Vec<Lot>, Vec<TenancyId>) {
        let (suspects, others): (Vec<_>, Vec<_>) = tenancies.partition(|tenancy| self.suspects.contains_key(tenancy));
        let mut lots = Vec::new();
        if !others.is_empty() {
            lots.push(Lot { place, tenancies: others, limits: most });
        }
        let mut left = suspects.as_slice();
        for _ in 0..MAX_SUSPECT_LOTS {
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
            lots.push(Lot { place, tenancies: group.to_vec(), limits });
            left = rest;
        }
        (lots, left.to_vec())
    }

    /// A page was refused, for a reason that lies in its rows.
    pub(crate) fn refused(&mut self, extents: &Extents) -> Refused {
        let mut whose = extents.iter();
        let Some((tenancy, extent)) = whose.next() else { return Refused::Hopeless };
        if self.in_a_row >= MAX_IN_A_ROW {
            return Refused::Hopeless;
        }
        if self.suspects.len() + extents.len() > MAX_SUSPECTS {
            self.suspects.clear();
        }
        if whose.len() > 0 {
            for tenancy in extents.keys() {
                let suspect = self.suspects.entry(*tenancy).or_insert(UNSUSPECTED);
                suspect.together = suspect.together.min((extents.len() / 2).max(1));
            }
            return Refused::Narrowed;
        }
        let suspect = self.suspects.entry(*tenancy).or_insert(UNSUSPECTED);
        let is_one = extent.rows == 1 || suspect.rows == 1;
        suspect.together = 1;
        if !is_one {
            suspect.bad_within = Some(extent.rows);
            suspect.rows = half(extent.rows).min((suspect.rows / 2).max(1));
            return Refused::Narrowed;
        }
        suspect.rows = 1;
        suspect.bad_within = None;
        if suspect.in_a_row >= MAX_IN_A_ROW || extent.sequences.len() > MAX_IN_A_ROW as usize {
            return Refused::Hopeless;
        }
        suspect.in_a_row += 1;
        self.in_a_row += 1;
        Refused::Found(*tenancy, extent.sequences.clone())
    }

    /// A page got through.
    pub(crate) fn shipped(&mut self, lot: &Lot, settled: &Settled, most: PageLimits) {
        if let Some(in_a_row) = settled.in_a_row {
            self.in_a_row = in_a_row;
        }
        let more: HashSet<_> = settled.continued.iter().collect();
        for tenancy in &lot.tenancies {
            if let Some(in_a_row) = settled.streaks.get(tenancy)
                && (*in_a_row > 0 || self.suspects.contains_key(tenancy))
            {
                self.suspects.entry(*tenancy).or_insert(UNSUSPECTED).in_a_row = *in_a_row;
            }
            let Some(suspect) = self.suspects.get_mut(tenancy) else { continue };
            let passed = settled.extents.get(tenancy).map_or(0, |extent| extent.rows);
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
