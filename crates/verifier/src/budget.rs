//! A run within a share of time: what was proven longest ago is looked at first, so that run after run covers everything. Pure.

use std::time::Duration;

use lockstep_mappings::postgres::compare::Projects;
use lockstep_schema::verifications::ProvenRange;

/// How much time a run may take, and how old a proof may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// No part is begun after so long.
    pub time: Duration,
    /// A part that is left out counts as unfinished where its proof is older.
    pub cover_within: Duration,
}

/// A range of a mapping.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Part {
    /// Of which of the mappings.
    pub(crate) mapping: usize,
    pub(crate) projects: Projects,
    /// How long ago all of it was proven; none where it never was.
    pub(crate) age: Option<Duration>,
}

impl Part {
    pub(crate) fn new(mapping: usize, projects: Projects, proven: &[ProvenRange]) -> Self {
        let holds = |one: &&ProvenRange| {
            let behind = one.end.is_none() || (projects.end.is_some() && projects.end <= one.end);
            one.first <= projects.first && behind
        };
        let age = proven.iter().filter(holds).map(|one| one.age).min();
        Self { mapping, projects, age }
    }

    /// Whether it may be left out of this run.
    pub(crate) fn is_covered(&self, budget: Budget) -> bool {
        self.age.is_some_and(|age| age <= budget.cover_within)
    }
}

/// In the order in which they are looked at: first what was never proven, then what was longest ago.
pub(crate) fn in_order(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.age.unwrap_or(Duration::MAX)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, end: Option<&str>) -> Projects {
        Projects { first: first.to_owned(), end: end.map(ToOwned::to_owned) }
    }

    fn proven(first: &str, end: Option<&str>, age_s: u64) -> ProvenRange {
        ProvenRange { first: first.to_owned(), end: end.map(ToOwned::to_owned), age: Duration::from_secs(age_s) }
    }

    #[test]
    fn a_range_is_as_old_as_the_youngest_proof_that_holds_all_of_it() {
        let all = [proven("", None, 90), proven("b", Some("d"), 30), proven("c", None, 10)];
        let age = |first, end| Part::new(0, range(first, end), &all).age.map(|age| age.as_secs());
        assert_eq!(age("b", Some("d")), Some(30));
        assert_eq!(age("b", Some("c")), Some(30));
        assert_eq!(age("b", Some("e")), Some(90));
        assert_eq!(age("c", None), Some(10));
        assert_eq!(age("b", None), Some(90));
        assert_eq!(Part::new(0, range("a", Some("c")), &all[1..]).age, None);
    }

    #[test]
    fn what_was_never_proven_comes_first_and_then_the_oldest() {
        let part = |mapping, age_s: Option<u64>| Part {
            mapping,
            projects: range("", None),
            age: age_s.map(Duration::from_secs),
        };
        let parts = in_order(vec![part(0, Some(5)), part(1, None), part(2, Some(50))]);
        assert_eq!(parts.iter().map(|part| part.mapping).collect::<Vec<_>>(), [1, 2, 0]);
        let budget = Budget { time: Duration::ZERO, cover_within: Duration::from_secs(10) };
        assert_eq!(parts.iter().map(|part| part.is_covered(budget)).collect::<Vec<_>>(), [false, false, true]);
    }
}
