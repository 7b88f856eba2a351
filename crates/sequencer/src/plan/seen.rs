//! Snapshots: which transactions had ended at a moment, as `pg_snapshot` tells it.

use std::fmt;
use std::str::FromStr;

/// A snapshot, in 64-bit transaction ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// No transaction from this one on is seen.
    pub(crate) xmax: i64,
    /// Nor are these before it, in order: they had not ended.
    pub(crate) running: Vec<i64>,
}

impl Seen {
    /// Sees nothing at all.
    pub(crate) const NOTHING: Self = Self { xmax: 1, running: Vec::new() };

    /// Whether it sees what a transaction did, if that was committed.
    pub(crate) fn sees(&self, xid: i64) -> bool {
        xid < self.xmax && self.running.binary_search(&xid).is_err()
    }

    /// Whether it sees everything that `other` sees.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // Of the transactions from here to the other's end it must have seen none.
        let unseen = i64::try_from(other.running.iter().filter(|xid| **xid >= self.xmax).count()).unwrap_or(i64::MAX);
        other.xmax - self.xmax <= unseen && self.running.iter().all(|xid| !other.sees(*xid))
    }

    /// Sees what `before` saw, and of what this one sees the transactions up to `last`. It never sees less than `before`: of
    /// the transactions up to `last` some may have been running then, long after later ones had ended.
    pub(crate) fn after(&self, before: &Self, last: i64) -> Self {
        let xmax = before.xmax.max(self.xmax.min(last.saturating_add(1)));
        let is_new = |xid: i64| xid <= last && self.sees(xid);
        let still = before.running.iter().copied().filter(|xid| !is_new(*xid));
        let since = self.running.iter().copied().filter(|xid| *xid >= before.xmax && *xid < xmax);
        Self { xmax, running: still.chain(since).collect() }
    }

    /// The oldest transaction that had not ended.
    pub(crate) fn oldest_running(&self) -> i64 {
        self.running.first().copied().unwrap_or(self.xmax)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running: Vec<_> = self.running.iter().map(ToString::to_string).collect();
        write!(f, "{}:{}:{}", self.oldest_running(), self.xmax, running.join(","))
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_snapshot = || format!("{text:?} is no snapshot");
        let mut parts = text.split(':').skip(1);
        let (xmax, running) = (parts.next().ok_or_else(no_snapshot)?, parts.next().ok_or_else(no_snapshot)?);
        let xid = |text: &str| text.parse::<i64>().map_err(|_| no_snapshot());
        let mut running = running.split(',').filter(|xid| !xid.is_empty()).map(xid).collect::<Result<Vec<_>, _>>()?;
        running.sort_unstable();
        Ok(Self { xmax: xid(xmax)?, running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_snapshot_reads_back_and_tells_what_it_sees() {
        let seen: Seen = "10:20:10,15".parse().unwrap();
        assert_eq!(seen.to_string(), "10:20:10,15");
        assert!(seen.sees(9) && seen.sees(19) && !seen.sees(10) && !seen.sees(15) && !seen.sees(20));
        assert_eq!("5:5:".parse::<Seen>().unwrap().to_string(), "5:5:");
        assert!("5:5".parse::<Seen>().is_err() && "a:b:c".parse::<Seen>().is_err());
    }

    fn snapshots() -> impl Strategy<Value = Seen> {
        (1_i64..30, prop::collection::btree_set(1_i64..30, 0..6))
            .prop_map(|(xmax, running)| Seen { xmax, running: running.into_iter().filter(|xid| *xid < xmax).collect() })
    }

    proptest! {
        #[test]
        fn covering_is_seeing_all_that_the_other_sees(one in snapshots(), other in snapshots()) {
            prop_assert_eq!(one.covers(&other), (1..40).all(|xid| !other.sees(xid) || one.sees(xid)));
        }

        #[test]
        fn what_has_its_number_keeps_it(before in snapshots(), ended in prop::collection::btree_set(1_i64..30, 0..8), more in 0_i64..10, last in 0_i64..40) {
            // A later snapshot sees everything that an earlier one saw.
            let xmax = before.xmax + more;
            let running = before.running.iter().copied().chain(before.xmax..xmax).filter(|xid| !ended.contains(xid)).collect();
            let now = Seen { xmax, running };
            let after = now.after(&before, last);
            for xid in 1..60 {
                prop_assert_eq!(after.sees(xid), before.sees(xid) || (xid <= last && now.sees(xid)), "{}", xid);
            }
            prop_assert!(after.running.is_sorted());
        }
    }
}
