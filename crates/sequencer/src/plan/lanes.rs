//! Lanes: the tables whose rows are stamped. Lane 0 is the tombstones, the others are the source tables by name.

/// The lane of tombstones.
pub(crate) const TOMBSTONES: usize = 0;

/// The lanes of a pass, in order.
///
/// Ordinarily those that `wait`, beginning with `first`: a pass that runs out of time leaves the rest to the next, which
/// begins there, so that no table starves another (FAIR-1).
pub(crate) fn waiting(wait: &[bool], first: usize) -> Vec<usize> {
    let count = wait.len();
    (0..count).map(|step| (first + step) % count).filter(|&lane| wait[lane]).collect()
}

/// The lanes of a pass that answers fences: all, tombstones last. A row that is deleted after its table was looked at, and
/// before, has its tombstone by the time the tombstones are looked at.
pub(crate) fn all(count: usize) -> Vec<usize> {
    (1..count).chain([TOMBSTONES]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pass_begins_where_the_last_one_ended() {
        assert_eq!(waiting(&[true, false, true, true], 2), [2, 3, 0]);
        assert_eq!(waiting(&[false, false], 1), [0_usize; 0]);
        assert_eq!(all(4), [1, 2, 3, 0]);
    }

    proptest! {
        #[test]
        fn fair_1_every_lane_that_waits_is_first_in_turn(
            wait in prop::collection::vec(any::<bool>(), 1..20), served in 1_usize..4
        ) {
            // Each pass gets no further than `served` lanes.
            let mut first = 0;
            let mut seen = vec![false; wait.len()];
            for _ in 0..wait.len() {
                for lane in waiting(&wait, first).into_iter().take(served) {
                    seen[lane] = true;
                    first = (lane + 1) % wait.len();
                }
            }
            prop_assert_eq!(seen, wait);
        }
    }
}
