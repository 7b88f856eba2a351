//! What fails rests for a while, so that it does not stop what works (FAIR-1).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lockstep_core::retry::Backoff;

/// The first rest. A table that somebody alters is free again soon.
const FIRST_REST: Duration = Duration::from_millis(250);
/// The longest. One that is broken for good is tried once a minute.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A part of the work that can fail by itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    /// Stamping the flagged rows of a lane.
    Lane(usize),
    /// Working off the touches of a target.
    Touches(String),
}

/// Which parts failed lately.
#[derive(Debug, Default)]
pub(crate) struct Rests(BTreeMap<Part, Rest>);

#[derive(Debug)]
struct Rest {
    until: Instant,
    backoff: Backoff,
}

impl Rests {
    /// Whether the part rests.
    pub(crate) fn is_resting(&self, part: &Part, now: Instant) -> bool {
        self.0.get(part).is_some_and(|rest| now < rest.until)
    }

    /// The part failed: how long it rests, longer each time.
    pub(crate) fn failed(&mut self, part: Part, now: Instant) -> Duration {
        let new = || Rest { until: now, backoff: Backoff::new(FIRST_REST, LONGEST_REST) };
        let rest = self.0.entry(part).or_insert_with(new);
        let wait = rest.backoff.next_wait();
        rest.until = now + wait;
        wait
    }

    /// The part worked.
    pub(crate) fn worked(&mut self, part: &Part) {
        self.0.remove(part);
    }

    /// Whether any lane failed and did not work since.
    pub(crate) fn is_any_lane(&self) -> bool {
        self.0.keys().any(|part| matches!(part, Part::Lane(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fair_1_what_fails_rests_longer_each_time_and_nothing_else_does() {
        let (mut rests, start) = (Rests::default(), Instant::now());
        let broken = Part::Lane(3);
        let first = rests.failed(broken.clone(), start);
        assert!(rests.is_resting(&broken, start) && !rests.is_resting(&broken, start + first));
        assert!(!rests.is_resting(&Part::Lane(2), start));
        assert!(!rests.is_resting(&Part::Touches("users.channel".to_owned()), start));
        let long = (0..20).map(|_| rests.failed(broken.clone(), start)).max().unwrap();
        assert!(first <= FIRST_REST && long > LONGEST_REST / 2 && long <= LONGEST_REST);
        assert!(rests.is_any_lane());
        rests.worked(&broken);
        assert!(!rests.is_any_lane() && !rests.is_resting(&broken, start));
    }
}
