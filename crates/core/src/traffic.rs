//! What this process has shipped since it began, as counts that a heartbeat carries: the same as in its metrics, for whoever
//! has no Prometheus to ask.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::freshness::LAG_BUCKETS;

/// Destinations, and mappings, beyond which no new one is counted. There are a dozen mappings and one destination; nothing
/// that is sent every few seconds may grow without a limit.
const MAX_NAMES: usize = 256;

static SHIPPED: LazyLock<Mutex<Traffic>> = LazyLock::new(Mutex::default);

/// Counts since a process began.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// By destination: how many changes took how long from their commit until they were visible. One count for each of
    /// [`LAG_BUCKETS`], of what took at most that and more than the one before; a last one for what took longer.
    #[serde(default)]
    pub lag: BTreeMap<String, Vec<u64>>,
    /// By mapping: rows that ClickHouse holds.
    #[serde(default)]
    pub rows: BTreeMap<String, Rows>,
}

/// Rows by what was done with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rows {
    /// New or changed.
    #[serde(default)]
    pub upserts: u64,
    /// Deleted.
    #[serde(default)]
    pub tombstones: u64,
}

impl Traffic {
    fn add_lag(&mut self, destination: &str, seconds: f64, count: u64) {
        if self.lag.contains_key(destination) || self.lag.len() < MAX_NAMES {
            let counts = self.lag.entry(destination.to_owned()).or_insert_with(|| vec![0; LAG_BUCKETS.len() + 1]);
            counts[LAG_BUCKETS.partition_point(|bound| *bound < seconds)] += count;
        }
    }

    fn add_rows(&mut self, mapping: &str, rows: Rows) {
        if self.rows.contains_key(mapping) || self.rows.len() < MAX_NAMES {
            let of = self.rows.entry(mapping.to_owned()).or_default();
            of.upserts += rows.upserts;
            of.tombstones += rows.tombstones;
        }
    }
}

/// What this process has shipped until now.
pub fn shipped() -> Traffic {
    SHIPPED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// So many changes took so long until a destination held them.
pub(crate) fn arrived(destination: &str, seconds: f64, count: usize) {
    let mut shipped = SHIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    shipped.add_lag(destination, seconds, count as u64);
}

/// ClickHouse holds so many more rows of a mapping.
pub fn written(mapping: &str, rows: Rows) {
    SHIPPED.lock().unwrap_or_else(PoisonError::into_inner).add_rows(mapping, rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_counted_in_the_bucket_that_it_fits_in() {
        let mut traffic = Traffic::default();
        for (seconds, count) in [(0.005, 1), (0.0051, 2), (300.0, 3), (301.0, 4)] {
            traffic.add_lag("clickhouse", seconds, count);
        }
        let counts = &traffic.lag["clickhouse"];
        assert_eq!((counts[0], counts[1], counts[16], counts[17], counts.len()), (1, 2, 3, 4, 18));
    }

    #[test]
    fn it_has_a_limit_and_what_is_known_goes_on() {
        let mut traffic = Traffic::default();
        let rows = Rows { upserts: 2, tombstones: 1 };
        for at in 0..MAX_NAMES + 9 {
            traffic.add_rows(&at.to_string(), rows);
            traffic.add_lag(&at.to_string(), 1.0, 1);
        }
        traffic.add_rows("0", rows);
        assert_eq!((traffic.rows.len(), traffic.lag.len()), (MAX_NAMES, MAX_NAMES));
        assert_eq!(traffic.rows["0"], Rows { upserts: 4, tombstones: 2 });
    }
}
