//! Touches: in pages by id, and by target.

use std::collections::BTreeMap;

use uuid::Uuid;

/// A touch: rows of other tables changed on which rows of this target depend (CAP-3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Touch {
    /// Its id, in the order in which touches were written.
    pub(crate) id: i64,
    /// `mapping.join`, or `tenancy`.
    pub(crate) target: String,
    /// Whose rows.
    pub(crate) tenancy: Uuid,
    /// Whether it is seen for the first time: it has no floor yet.
    pub(crate) is_new: bool,
}

/// Where the next page begins. A touch whose rows are locked stays, and must not keep those behind it from their turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Walk {
    after: i64,
}

impl Walk {
    /// The next page holds touches with higher ids than this.
    pub(crate) const fn after(self) -> i64 {
        self.after
    }

    /// A page of at most `limit` touches was worked on: goes on behind it, or starts again where it was the last.
    pub(crate) fn seen(&mut self, page: &[Touch], limit: i64) {
        let full = i64::try_from(page.len()).is_ok_and(|count| count >= limit);
        self.after = if full { page.last().map_or(0, |touch| touch.id) } else { 0 };
    }
}

/// Ids by target.
pub(crate) fn by_target(page: &[Touch]) -> BTreeMap<&str, Vec<i64>> {
    let mut targets: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for touch in page {
        targets.entry(&touch.target).or_default().push(touch.id);
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch(id: i64) -> Touch {
        Touch { id, target: format!("t{}", id % 2), tenancy: Uuid::nil(), is_new: true }
    }

    #[test]
    fn touches_are_grouped_by_target() {
        let page: Vec<_> = (1..=4).map(touch).collect();
        assert_eq!(by_target(&page), BTreeMap::from([("t0", vec![2, 4]), ("t1", vec![1, 3])]));
    }

    proptest! {
        /// Touches that are stuck and stay, among others that go when they are worked on.
        #[test]
        fn every_touch_has_its_turn_however_many_are_stuck(
            stuck in prop::collection::btree_set(1_i64..200, 0..60), limit in 1_i64..20
        ) {
            let mut waiting: Vec<i64> = (1..200).collect();
            let mut walk = Walk::default();
            // Twice around is enough.
            for _ in 0..2 * (200 / limit + 2) {
                let page: Vec<_> = waiting.iter().filter(|&&id| id > walk.after())
                    .take(usize::try_from(limit).unwrap()).map(|&id| touch(id)).collect();
                walk.seen(&page, limit);
                waiting.retain(|id| stuck.contains(id) || !page.iter().any(|touch| touch.id == *id));
            }
            prop_assert_eq!(waiting, stuck.into_iter().collect::<Vec<_>>());
        }
    }
}
