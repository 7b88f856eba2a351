//! Since when the oldest change waits that has no number yet.
//!
//! Lines of the inbox do not say when they were committed: that would be a column more for the application to write. But a
//! transaction that a look finds had not committed when the look before it began. Where Postgres keeps commit timestamps the
//! look says it exactly.

use std::time::{Duration, Instant};

/// What is known of it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Waiting {
    /// What was committed before that has been found.
    looked: Option<Instant>,
    since: Option<Instant>,
}

impl Waiting {
    /// A look that began then has found something that waits, or nothing. `committed`: when the oldest of it was, where
    /// Postgres knows.
    pub(crate) fn looked(&mut self, began: Instant, found: bool, committed: Option<Instant>) {
        let first = committed.or(self.looked).unwrap_or(began);
        self.since = found.then(|| self.since.map_or(first, |since| since.min(first)));
        self.looked = Some(began);
    }

    /// Nothing was committed until then.
    pub(crate) fn stood_still(&mut self, until: Instant) {
        self.looked = self.looked.map(|looked| looked.max(until));
    }

    /// A pass has numbered all that was found, or some of it. Returns for how long the oldest had waited.
    pub(crate) fn passed(&mut self, now: Instant, all: bool) -> Option<Duration> {
        let waited = self.age(now);
        self.since = self.since.filter(|_| !all);
        waited
    }

    /// For how long the oldest has waited; `None` where nothing waits.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_finds_has_waited_since_the_look_before_unless_postgres_knows_better() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let age = |waiting: &Waiting, seconds| waiting.age(at(seconds)).map(|age| age.as_secs());
        let mut waiting = Waiting::default();
        waiting.looked(at(1), false, None);
        assert_eq!(age(&waiting, 2), None);
        waiting.looked(at(3), true, None);
        assert_eq!(age(&waiting, 4), Some(3), "since the look that did not find it");
        waiting.looked(at(5), true, Some(at(4)));
        assert_eq!(age(&waiting, 5), Some(4), "the first is still there");
        assert_eq!(waiting.passed(at(6), false).map(|age| age.as_secs()), Some(5));
        assert_eq!(age(&waiting, 7), Some(6), "some of it still waits");
        assert_eq!(waiting.passed(at(8), true).map(|age| age.as_secs()), Some(7));
        assert_eq!(age(&waiting, 9), None);
        waiting.stood_still(at(10));
        waiting.looked(at(11), true, None);
        assert_eq!(age(&waiting, 12), Some(2), "until then nothing was committed");
        waiting.looked(at(13), false, None);
        assert_eq!(age(&waiting, 14), None, "another has numbered it");
        waiting.looked(at(15), true, Some(at(14)));
        assert_eq!(age(&waiting, 16), Some(2));
    }

    #[test]
    fn what_the_first_look_finds_is_counted_from_there() {
        let (start, mut waiting) = (Instant::now(), Waiting::default());
        waiting.looked(start, true, None);
        assert_eq!(waiting.age(start), Some(Duration::ZERO));
    }
}
