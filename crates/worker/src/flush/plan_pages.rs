//! Which pages a flush reads, and how many rows of a mapping at once: fewer where rows are large.

use std::collections::{HashMap, VecDeque};

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::fetch::PageLimits;

use super::isolate::Isolation;
use super::outcome::{Outcome, PairsOutcome};
use crate::hints::Hints;
use crate::mappings::MappingIndex;

/// A page that had too many bytes is followed by one with so many times fewer rows.
const SHRINK: u32 = 4;
/// Rows may have up to a gigabyte.
const MAX_DIVISOR: u32 = 1 << 20;

/// One page that is to be read: whose rows of which mapping, and how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PagePlan {
    pub(super) mapping: MappingIndex,
    pub(super) tenancies: Vec<TenancyId>,
    pub(super) limits: PageLimits,
}

/// What is known of one mapping from one flush to the next.
#[derive(Clone, Default, Debug)]
pub(super) struct MappingState {
    pub(super) page_size: AdaptivePageSize,
    pub(super) isolation: Isolation,
}

/// What is known of the mappings. One that is not here is new.
pub(super) type MappingStates = HashMap<MappingIndex, MappingState>;

/// The pages of one flush, one of each mapping as a rule; and the pairs that have to wait for another flush.
pub(super) fn plan_pages(
    hints: &Hints,
    states: &mut MappingStates,
    most: PageLimits,
) -> (VecDeque<PagePlan>, Vec<PairsOutcome>) {
    let (mut pages, mut waiting) = (VecDeque::new(), Vec::new());
    for mapping in hints.mappings() {
        let MappingState { page_size, isolation } = states.entry(mapping).or_default();
        let (of_mapping, left) = isolation.pages(mapping, hints.of_mapping(mapping), page_size.limits(most));
        pages.extend(of_mapping);
        waiting.push(PairsOutcome::new(mapping, left, Outcome::MorePages));
    }
    (pages, waiting)
}

/// What was learnt about the size of a mapping's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AdaptivePageSize {
    divisor: u32,
}

impl Default for AdaptivePageSize {
    fn default() -> Self {
        Self { divisor: 1 }
    }
}

impl AdaptivePageSize {
    /// The limits of the next page, `most` at most.
    pub(super) fn limits(self, most: PageLimits) -> PageLimits {
        PageLimits {
            tenancy_rows: (most.tenancy_rows / self.divisor).max(1),
            total_rows: (most.total_rows / self.divisor).max(1),
        }
    }

    /// A page was too large: to be read, or to be written in time.
    pub(super) fn shrink(&mut self) {
        self.divisor = self.divisor.saturating_mul(SHRINK).min(MAX_DIVISOR);
    }

    /// A page had this many bytes, `page_bytes` being allowed.
    pub(super) fn learn(&mut self, bytes: u64, page_bytes: u64) {
        if bytes >= page_bytes {
            self.shrink();
        } else if bytes < page_bytes / u64::from(2 * SHRINK) {
            self.divisor = (self.divisor / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_while_rows_are_large_and_grow_again() {
        let most = PageLimits { tenancy_rows: 100, total_rows: 500 };
        let mut size = AdaptivePageSize::default();
        assert_eq!(size.limits(most), most);
        size.learn(1000, 1000);
        assert_eq!(size.limits(most), PageLimits { tenancy_rows: 25, total_rows: 125 });
        (0..20).for_each(|_| size.learn(5000, 1000));
        assert_eq!(size.limits(most), PageLimits { tenancy_rows: 1, total_rows: 1 });
        size.learn(500, 1000);
        assert_eq!(size.divisor, MAX_DIVISOR, "large enough as it is");
        (0..20).for_each(|_| size.learn(0, 1000));
        assert_eq!(size.limits(most), most);
    }
}
