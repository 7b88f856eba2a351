//! Fences: when a pass has stamped everything that was committed before it began.
//!
//! `lockstep wait` inserts a row into `lockstep.fence` and asks for a number that covers all that was committed before. A
//! pass that stamps may answer if, beyond doubt, nothing older is left without a number:
//!
//! 1. The fences, and the highest touch, are read first. What was committed before a fence is visible to every later
//!    statement of the pass.
//! 2. Every lane's statement counts, in the one snapshot with which it stamps, the rows that are flagged. If it stamped as
//!    many, and there was room for more, all of them have their number. A row that was skipped because somebody holds it,
//!    or that changed between snapshot and lock, was counted and not stamped: then the fence waits for another pass. It
//!    does not help to look afterwards for rows that are still flagged: one that was flagged before the fence, skipped,
//!    and written again since, cannot be told from one that was flagged since.
//! 3. A row that was flagged before the fence and not when its lane was looked at was stamped earlier in the pass, or
//!    deleted: then its tombstone was committed with that, and tombstones come last.
//! 4. No touch up to the highest is left: the rows that depend on it have numbers too (CAP-3).

/// What a lane's statement counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// Flagged rows in the statement's snapshot, up to `limit`.
    pub(crate) flagged: i64,
    /// How many of them it stamped.
    pub(crate) stamped: i64,
    /// How many it could have stamped.
    pub(crate) limit: i64,
}

impl Counted {
    /// Whether every row that was flagged in the statement's snapshot has a number now.
    pub(crate) const fn is_all(self) -> bool {
        self.flagged < self.limit && self.stamped == self.flagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_answered_only_if_nothing_was_skipped_or_left() {
        let counted = |flagged, stamped| Counted { flagged, stamped, limit: 10 };
        assert!(counted(0, 0).is_all() && counted(9, 9).is_all());
        assert!(!counted(9, 8).is_all(), "a row was locked");
        assert!(!counted(10, 10).is_all(), "there may be more");
    }
}
