//! What a pass takes in: all that is new, or a part of it that is not too large (FAIR-1).
//!
//! Lines are taken a transaction at a time. A transaction with very many lines is not taken with the others: it becomes
//! *unfinished* and is numbered in shares, so that nobody waits for its end.

use serde::{Deserialize, Serialize};

use super::seen::Seen;

/// Lines of one pass, about: numbered in a fraction of a second.
pub(crate) const PASS_LINES: i64 = 20_000;
/// A transaction with more lines than this among those of a pass is taken in shares.
const LARGE_LINES: i64 = PASS_LINES / 4;
/// Large transactions that become unfinished at once: others wait for a later pass.
const LARGE_AT_ONCE: usize = 8;

/// A large transaction, of which some lines have their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    pub(crate) xid: i64,
    /// Where its lines are, as an index into the two inboxes.
    pub(crate) inbox: usize,
    /// The file of that inbox when positions were noted: in another one they mean nothing.
    pub(crate) file: u32,
    /// The position of the last line that has its number, as `ctid`.
    pub(crate) after: String,
    /// The position of its last line.
    pub(crate) until: String,
    /// The last number when it was written down where its tenancies are: what has a higher one is read as it left it.
    pub(crate) since: i64,
}

impl Unfinished {
    /// Before anything is known of its lines.
    pub(crate) fn new(xid: i64) -> Self {
        let inbox = lockstep_mappings::postgres::inbox::inbox_of(xid);
        Self { xid, inbox, file: 0, after: String::new(), until: String::new(), since: 0 }
    }
}

/// What is looked at: transactions up to one, without some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Scope {
    pub(crate) up_to: i64,
    pub(crate) large: Vec<i64>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { up_to: i64::MAX, large: Vec::new() }
    }
}

/// What follows from a look at a scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Intake {
    /// Everything that this snapshot sees has its number after the pass, but for the large transactions of the scope.
    Take(Seen),
    /// It is too much: look at this.
    LookAgain(Scope),
}

/// Decides from the transactions in a scope, each with its number of lines among the first [`PASS_LINES`].
pub(crate) fn decide(before: &Seen, now: &Seen, scope: &Scope, lines: &[(i64, i64)]) -> Intake {
    let total: i64 = lines.iter().map(|(_, lines)| lines).sum();
    if total < PASS_LINES {
        return Intake::Take(now.after(before, scope.up_to));
    }
    let mut xids: Vec<_> = lines.iter().map(|(xid, _)| *xid).collect();
    xids.sort_unstable();
    let mut large: Vec<_> = lines.iter().filter(|(_, lines)| *lines >= LARGE_LINES).map(|(xid, _)| *xid).collect();
    if large.is_empty() {
        // Very many small ones: the older half.
        let up_to = xids.get(xids.len().saturating_sub(1) / 2).copied().unwrap_or(scope.up_to);
        return Intake::LookAgain(Scope { up_to, large: scope.large.clone() });
    }
    large.extend(&scope.large);
    let up_to =
        if large.len() < LARGE_AT_ONCE { scope.up_to } else { large.iter().copied().max().unwrap_or(scope.up_to) };
    Intake::LookAgain(Scope { up_to: up_to.min(scope.up_to), large })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Looks at lines by transaction until something is taken; tells up to where, what is large, and how much is taken.
    fn take_in(lines: &BTreeMap<i64, i64>) -> (Scope, i64) {
        let (before, now) = (Seen { xmax: 50, running: vec![5] }, Seen { xmax: 1_000_000, running: vec![5] });
        let mut scope = Scope::default();
        for _ in 0..200 {
            let mut left = PASS_LINES;
            let mut found = Vec::new();
            for (xid, lines) in lines.iter().filter(|(xid, _)| **xid <= scope.up_to && !scope.large.contains(xid)) {
                let taken = left.min(*lines);
                left -= taken;
                found.extend((taken > 0).then_some((*xid, taken)));
            }
            match decide(&before, &now, &scope, &found) {
                Intake::Take(seen) => {
                    assert_eq!(seen, now.after(&before, scope.up_to));
                    return (scope, found.iter().map(|(_, lines)| lines).sum());
                }
                Intake::LookAgain(next) => scope = next,
            }
        }
        panic!("nothing is ever taken");
    }

    #[test]
    fn fair_1_a_large_transaction_is_set_apart_and_everybody_else_is_taken() {
        let mut lines: BTreeMap<_, _> = (100..200).map(|xid| (xid, 3)).collect();
        lines.insert(150, 5_000_000);
        let (scope, taken) = take_in(&lines);
        assert_eq!((scope.large, scope.up_to, taken), (vec![150], i64::MAX, 99 * 3));
    }

    #[test]
    fn a_backlog_of_small_transactions_is_taken_from_its_oldest_on() {
        let lines: BTreeMap<_, _> = (100..500_100).map(|xid| (xid, 1)).collect();
        let (scope, taken) = take_in(&lines);
        assert!(scope.large.is_empty() && taken > 0 && taken < PASS_LINES, "{taken}");
        assert_eq!(scope.up_to, 100 + taken - 1);
    }

    #[test]
    fn many_large_transactions_become_unfinished_a_few_at_a_time() {
        let lines: BTreeMap<_, _> = (100..200).map(|xid| (xid, 6_000)).collect();
        let (scope, taken) = take_in(&lines);
        assert!(scope.large.len() <= LARGE_AT_ONCE + 4, "{scope:?}");
        assert!(scope.large.iter().all(|xid| *xid <= scope.up_to) && taken < PASS_LINES);
    }

    #[test]
    fn a_few_lines_are_taken_at_once() {
        assert_eq!(take_in(&BTreeMap::from([(100, 1), (101, 2)])), (Scope::default(), 3));
        assert_eq!(take_in(&BTreeMap::new()), (Scope::default(), 0));
    }
}
