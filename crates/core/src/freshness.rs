//! Freshness as numbers: how long changes take to arrive, and how long the oldest has waited that has not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Unit, describe_gauge, describe_histogram, gauge, histogram};

use crate::traffic;

/// How long changes took, by leg and destination.
pub const LAG: &str = "lockstep_lag_seconds";
const OLDEST_NEWS: &str = "lockstep_oldest_news_seconds";

/// Upper bounds of the histogram of [`LAG`], in seconds: the same everywhere, so that those of several processes can be added.
pub const LAG_BUCKETS: [f64; 17] =
    [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Where changes can wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Written down by a trigger, without a number.
    Inbox,
    /// Rows that have to be searched before they have numbers.
    Expansion,
    /// With a number, and not announced.
    Outbox,
    /// Not known to be in the destination.
    Behind,
}

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub fn describe() {
    describe_histogram!(
        LAG,
        Unit::Seconds,
        "How long changes took. leg commit_to_stamp: from the commit to the number, of the oldest transaction of each pass; by Postgres' commit timestamps where track_commit_timestamp is on, else from the last look that did not find it, which is some milliseconds too much. stamp_to_visible: from the number to the moment at which the destination holds the rows, of each tenancy that a flush shipped. total: both. destination tenants: all tenants' own databases together, of changes that the worker which visits them was told of. Clocks of several machines are compared"
    );
    describe_gauge!(
        OLDEST_NEWS,
        Unit::Seconds,
        "For how long the oldest change waits, by stage: inbox (no number yet), expansion (rows to be searched), outbox (not announced), behind (not in the destination); 0 where none does"
    );
}

/// A transaction's changes got their numbers so long after its commit.
pub fn stamped(lag: Duration) {
    histogram!(LAG, "leg" => "commit_to_stamp").record(lag.as_secs_f64());
}

/// The changes of so many tenancies, announced with these times, are visible in a destination now.
pub fn visible(destination: &str, times: ChangeTimes, tenancies: usize) {
    let now = micros_of(SystemTime::now());
    for (leg, from) in [("stamp_to_visible", times.stamped_at_micros), ("total", times.committed_at_micros)] {
        if from > 0 {
            let lag = Duration::from_micros(u64::try_from(now - from).unwrap_or(0));
            histogram!(LAG, "leg" => leg, "destination" => destination.to_owned())
                .record_many(lag.as_secs_f64(), tenancies);
            if leg == "total" {
                traffic::arrived(destination, lag.as_secs_f64(), tenancies);
            }
        }
    }
}

/// The oldest change at a stage has waited for so long; none where nothing waits.
pub fn oldest_news(stage: Stage, age: Option<Duration>) {
    let stage = match stage {
        Stage::Inbox => "inbox",
        Stage::Expansion => "expansion",
        Stage::Outbox => "outbox",
        Stage::Behind => "behind",
    };
    gauge!(OLDEST_NEWS, "stage" => stage).set(age.unwrap_or_default().as_secs_f64());
}

/// When changes were committed and got their numbers, in microseconds since 1970 by the clock of the sequencer's machine; 0
/// where that is not known. Of several changes: of the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ChangeTimes {
    /// When the pass was committed that gave them their numbers.
    pub stamped_at_micros: i64,
    /// When they were committed, at the earliest.
    pub committed_at_micros: i64,
}

impl ChangeTimes {
    /// Of changes that got their numbers so long ago, and had waited for them for so long where that is known.
    pub fn stamped(ago: Duration, waited: Option<Duration>) -> Self {
        let stamped_at = SystemTime::now() - ago;
        let committed_at = waited.map_or(0, |waited| micros_of(stamped_at - waited));
        Self { stamped_at_micros: micros_of(stamped_at), committed_at_micros: committed_at }
    }

    /// Of these and others together: what is known of the earlier.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        let earliest = |one: i64, other: i64| if one == 0 || (other > 0 && other < one) { other } else { one };
        Self {
            stamped_at_micros: earliest(self.stamped_at_micros, other.stamped_at_micros),
            committed_at_micros: earliest(self.committed_at_micros, other.committed_at_micros),
        }
    }
}

fn micros_of(at: SystemTime) -> i64 {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_counts_that_is_known() {
        let of = |stamped_at_micros, committed_at_micros| ChangeTimes { stamped_at_micros, committed_at_micros };
        assert_eq!(of(7, 0).earliest(of(5, 3)), of(5, 3));
        assert_eq!(of(5, 3).earliest(of(7, 0)), of(5, 3));
        assert_eq!(of(0, 2).earliest(of(0, 4)), of(0, 2));
    }

    #[test]
    fn what_has_waited_was_committed_before_it_got_its_number() {
        let times = ChangeTimes::stamped(Duration::from_secs(3), Some(Duration::from_secs(2)));
        assert_eq!(times.stamped_at_micros - times.committed_at_micros, 2_000_000);
        let age = micros_of(SystemTime::now()) - times.stamped_at_micros;
        assert!((3_000_000..13_000_000).contains(&age), "{age}");
        assert_eq!(ChangeTimes::stamped(Duration::ZERO, None).committed_at_micros, 0);
    }
}
