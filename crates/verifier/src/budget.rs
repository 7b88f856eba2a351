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
        let age = age(&projects, proven);
        Self { mapping, projects, age }
    }

    /// Whether it may be left out of this run.
    pub(crate) fn is_covered(&self, budget: Budget) -> bool {
        self.age.is_some_and(|age| age <= budget.cover_within)
    }
}

/// How long ago the oldest part of a range was proven, where ranges that were proven hold all of it together.
fn age(projects: &Projects, proven: &[ProvenRange]) -> Option<Duration> {
    let (mut at, mut oldest) = (projects.first.as_str(), Duration::ZERO);
    loop {
        let holds = |one: &&ProvenRange| one.first.as_str() <= at && one.end.as_deref().is_none_or(|end| at < end);
        let youngest = proven.iter().filter(holds).min_by_key(|one| one.age)?;
        oldest = oldest.max(youngest.age);
        match (youngest.end.as_deref(), projects.end.as_deref()) {
            (None, _) => return Some(oldest),
            (Some(end), Some(last)) if end >= last => return Some(oldest),
            (Some(end), _) => at = end,
        }
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
    fn a_range_is_as_old_as_the_oldest_of_the_youngest_proofs_that_hold_it_together() {
        let all = [proven("", None, 90), proven("b", Some("d"), 30), proven("c", None, 10)];
        let age = |first, end| Part::new(0, range(first, end), &all).age.map(|age| age.as_secs());
        assert_eq!(age("b", Some("d")), Some(30));
        assert_eq!(age("b", Some("c")), Some(30));
        assert_eq!(age("b", Some("e")), Some(30), "the first half of one proof, and then another");
        assert_eq!(age("c", None), Some(10));
        assert_eq!(age("b", None), Some(30));
        assert_eq!(age("a", Some("c")), Some(90));
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
