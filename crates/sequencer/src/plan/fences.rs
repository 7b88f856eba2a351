//! Fences: when everything that was committed before one was asked has its number.
//!
//! `lockstep wait` inserts a row into `lockstep.fence`. A look that sees it sees all that was committed before. So a fence
//! is answered once
//!
//! 1. every line that this look saw has its number, those of large transactions too;
//! 2. every expansion that was there then, or came of those lines, is gone: its lines were written;
//! 3. every line that a look saw which found none of these expansions has its number.
//!
//! An expansion may go between a look and its pass, and leaves lines that this pass does not number. So only a fence during
//! which nobody saw any expansion is answered without a further look.

use std::collections::BTreeMap;

use super::intake::Unfinished;
use super::seen::Seen;

/// What has to happen before a fence is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// These lines get their numbers, and then expansions are looked for, where any was seen meanwhile.
    Lines { seen: Seen, expansions: bool },
    /// Expansions up to this one are worked off.
    Expansions(i64),
    /// The lines of those get their numbers.
    ExpandedLines(Seen),
}

/// Fences that wait, by number. Another leader begins with them anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fences(BTreeMap<i64, Stage>);

impl Fences {
    /// Takes note of a look: the fences that wait, what it saw, and the first expansion that it found.
    pub(crate) fn looked(&mut self, waiting: &[i64], now: &Seen, first_expansion: Option<i64>) {
        self.0.retain(|id, _| waiting.contains(id));
        for id in waiting {
            let stage = self.0.entry(*id).or_insert_with(|| Stage::Lines { seen: now.clone(), expansions: false });
            match stage {
                Stage::Lines { expansions, .. } => *expansions |= first_expansion.is_some(),
                Stage::Expansions(up_to) if first_expansion.is_none_or(|first| first > *up_to) => {
                    *stage = Stage::ExpandedLines(now.clone());
                }
                _ => {}
            }
        }
    }

    /// Whether any fence waits.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes note of a pass: what has its numbers after it, and the last expansion that is there. Returns the fences that
    /// are to be answered with it.
    pub(crate) fn passed(
        &mut self,
        consumed: &Seen,
        unfinished: &[Unfinished],
        last_expansion: Option<i64>,
    ) -> Vec<i64> {
        let numbered = |seen: &Seen| consumed.covers(seen) && !unfinished.iter().any(|one| seen.sees(one.xid));
        let mut answered = Vec::new();
        for (id, stage) in &mut self.0 {
            if let Stage::Lines { expansions, .. } = stage {
                *expansions |= last_expansion.is_some();
            }
            match stage {
                Stage::Lines { seen, expansions: true } if numbered(seen) => {
                    *stage = Stage::Expansions(last_expansion.unwrap_or_default());
                }
                Stage::Lines { seen, .. } | Stage::ExpandedLines(seen) if numbered(seen) => answered.push(*id),
                _ => {}
            }
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(xmax: i64) -> Seen {
        Seen { xmax, running: Vec::new() }
    }

    #[test]
    fn a_fence_is_answered_when_what_was_before_it_and_what_came_of_that_has_numbers() {
        let mut fences = Fences::default();
        fences.looked(&[7], &seen(10), None);
        assert!(fences.passed(&seen(9), &[], None).is_empty(), "a transaction before it has no number yet");
        assert!(fences.passed(&seen(10), &[Unfinished::new(8)], None).is_empty(), "nor all of a large one");
        assert!(fences.passed(&seen(10), &[Unfinished::new(12)], Some(3)).is_empty(), "an expansion is left");
        fences.looked(&[7], &seen(20), Some(2));
        assert!(fences.passed(&seen(20), &[], Some(5)).is_empty(), "it is still left");
        fences.looked(&[7], &seen(30), Some(4));
        assert!(fences.passed(&seen(29), &[], Some(5)).is_empty(), "its lines have no numbers");
        assert_eq!(fences.passed(&seen(30), &[], Some(5)), [7]);
    }

    #[test]
    fn a_fence_waits_for_lines_of_expansions_that_went_between_a_look_and_its_pass() {
        for (at_the_look, at_a_first_pass) in [(Some(3), None), (None, Some(3))] {
            let mut fences = Fences::default();
            fences.looked(&[7], &seen(10), at_the_look);
            assert!(fences.passed(&seen(10), &[Unfinished::new(8)], at_a_first_pass).is_empty());
            assert!(fences.passed(&seen(10), &[], None).is_empty(), "lines came after the look");
            fences.looked(&[7], &seen(20), None);
            assert_eq!(fences.passed(&seen(20), &[], None), [7]);
        }
    }

    #[test]
    fn a_fence_without_expansions_is_answered_by_one_pass_and_forgotten() {
        let mut fences = Fences::default();
        fences.looked(&[1, 2], &seen(10), None);
        assert_eq!(fences.passed(&seen(10), &[], None), [1, 2]);
        fences.looked(&[], &seen(11), None);
        assert!(!fences.are_waiting());
    }
}
