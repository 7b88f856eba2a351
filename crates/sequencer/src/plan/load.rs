//! How many rows are stamped at once: batches grow while there is more to do than fits, and shrink when idle or slow.

use std::time::Duration;

/// Where batches start, and where they return to when idle.
const FIRST_ROWS: i64 = 1_000;

/// Larger ones bring nothing: 41,000 rows/s were measured at 1,000, 52,000 at 10,000, and no more above.
const MOST_ROWS: i64 = 10_000;

/// Smaller ones do not help a server that is slow for other reasons.
const FEWEST_ROWS: i64 = 100;

/// A batch that takes longer keeps everybody else waiting for their turn.
const LONG: Duration = Duration::from_millis(300);

/// The size of the next batch of one table, or of touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Load {
    rows: i64,
    crowded: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self { rows: FIRST_ROWS, crowded: false }
    }
}

impl Load {
    /// Rows of the next batch.
    pub(crate) const fn rows(self) -> i64 {
        self.rows
    }

    /// Whether the last batch did not hold everything, so that tenants have to share the next one (FAIR-1).
    pub(crate) const fn is_crowded(self) -> bool {
        self.crowded
    }

    /// A batch was done: `count` of the rows that fitted into it.
    pub(crate) fn done(&mut self, count: i64, took: Duration) {
        self.crowded = count >= self.rows;
        if took > LONG {
            self.shrink(FEWEST_ROWS);
        } else if self.crowded {
            self.rows = (self.rows * 2).min(MOST_ROWS);
        } else if self.rows < FIRST_ROWS {
            self.rows = (self.rows * 2).min(FIRST_ROWS);
        } else if count < self.rows / 4 {
            self.shrink(FIRST_ROWS);
        }
    }

    /// A batch failed, perhaps because it took too long.
    pub(crate) fn failed(&mut self) {
        self.shrink(FEWEST_ROWS);
    }

    fn shrink(&mut self, least: i64) {
        self.rows = (self.rows / 2).max(least);
    }
}

/// Tenants that share one batch. The others follow in the next ones.
pub(crate) const SHARING_TENANTS: usize = 1_000;

/// Rows that each of `tenants` gets of a batch of `rows`: half of the batch in equal shares. The other half goes to
/// whatever is there, so that one huge tenant beside many small ones does not leave the batch half empty.
pub(crate) fn share(rows: i64, tenants: usize) -> i64 {
    let tenants = i64::try_from(tenants.max(1)).unwrap_or(i64::MAX);
    (rows / 2 / tenants).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(10);
    const SLOW: Duration = Duration::from_secs(1);

    #[test]
    fn batches_double_while_they_come_back_full_and_return_when_idle() {
        let mut load = Load::default();
        let mut sizes = Vec::new();
        for _ in 0..5 {
            sizes.push(load.rows());
            load.done(load.rows(), QUICK);
        }
        assert_eq!(sizes, [1_000, 2_000, 4_000, 8_000, 10_000]);
        assert!(load.is_crowded());
        for _ in 0..4 {
            load.done(3, QUICK);
        }
        assert_eq!(load, Load::default());
    }

    #[test]
    fn a_slow_server_gets_smaller_batches_until_it_recovers() {
        let mut load = Load::default();
        for _ in 0..9 {
            load.done(load.rows(), SLOW);
        }
        assert_eq!(load.rows(), FEWEST_ROWS);
        for _ in 0..9 {
            load.done(1, QUICK);
        }
        assert_eq!(load.rows(), FIRST_ROWS);
    }

    proptest! {
        #[test]
        fn fair_1_shares_never_fill_more_than_a_batch_and_nobody_gets_none(
            outcomes in prop::collection::vec((0_i64..20_000, 0_u64..1_000, any::<bool>()), 0..40),
            tenants in 0_usize..=SHARING_TENANTS,
        ) {
            let mut load = Load::default();
            for (count, took_ms, failed) in outcomes {
                if failed { load.failed() } else { load.done(count, Duration::from_millis(took_ms)) }
                prop_assert!((FEWEST_ROWS..=MOST_ROWS).contains(&load.rows()));
            }
            let share = share(load.rows(), tenants);
            let shares = share * i64::try_from(tenants).unwrap();
            prop_assert!(share >= 1);
            prop_assert!(shares <= load.rows() / 2 || share == 1);
        }
    }
}
