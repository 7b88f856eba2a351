//! What workers have shipped in the last minute, from the counts that their heartbeats carry. Pure.
//!
//! Counts go on from when a process began, so what came in between is a difference of two heartbeats of the same instance. One
//! that was started anew has another id, and one that is silent drops out with its counts: neither makes a jump.

use std::collections::{BTreeMap, VecDeque};

use lockstep_core::freshness::LAG_BUCKETS;
use lockstep_core::traffic::{Rows, Traffic};
use lockstep_operations::{DESTINATION, Instance};
use serde::Deserialize;
use uuid::Uuid;

/// How far back is looked.
const WINDOW_S: f64 = 60.0;

/// Heartbeats of the last minute, by instance.
#[derive(Default)]
pub(crate) struct Heartbeats(BTreeMap<Uuid, VecDeque<Beat>>);

/// A heartbeat, and when it was seen, in seconds since the program started.
struct Beat {
    at_s: f64,
    seen_at: String,
    shipped: Traffic,
}

/// What of an instance's state is looked at.
#[derive(Deserialize)]
struct Said {
    shipped: Option<Traffic>,
}

/// What was shipped in the last minute.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Recent {
    /// Rows each second, by mapping: new or changed, and deleted.
    rows: BTreeMap<String, Rates>,
    /// By bucket.
    lag: Vec<u64>,
}

/// Rows each second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) upserts: f64,
    pub(crate) tombstones: f64,
}

impl Heartbeats {
    /// Takes in what instances say now, and tells what they have shipped in the last minute, or why that is not known.
    pub(crate) fn observe(&mut self, at_s: f64, instances: &[Instance]) -> Result<Recent, &'static str> {
        let workers = || instances.iter().filter(|instance| instance.is_alive && instance.role == "worker");
        self.0.retain(|id, _| workers().any(|worker| worker.id == *id));
        for worker in workers() {
            let Ok(Said { shipped: Some(shipped) }) = Said::deserialize(&worker.state) else { continue };
            let beats = self.0.entry(worker.id).or_default();
            if beats.back().is_none_or(|last| last.seen_at != worker.seen_at) {
                beats.push_back(Beat { at_s, seen_at: worker.seen_at.clone(), shipped });
            }
            // One stays that is a minute old or older: the others are compared with it.
            while beats.get(1).is_some_and(|second| second.at_s <= at_s - WINDOW_S) {
                beats.pop_front();
            }
        }
        if workers().next().is_none() {
            return Err("no worker is alive");
        }
        if self.0.is_empty() {
            return Err("no worker says what it ships: they are of an earlier version");
        }
        let mut recent = Recent { rows: BTreeMap::new(), lag: vec![0; LAG_BUCKETS.len() + 1] };
        let mut pairs =
            self.0.values().filter(|beats| beats.len() > 1).filter_map(|b| b.front().zip(b.back())).peekable();
        if pairs.peek().is_none() {
            return Err("not known before a second heartbeat of a worker, which come every ten seconds");
        }
        pairs.for_each(|(first, last)| recent.add(first, last));
        Ok(recent)
    }
}

impl Recent {
    fn add(&mut self, first: &Beat, last: &Beat) {
        let seconds = (last.at_s - first.at_s).max(1.0);
        let since = |now: u64, then: u64| now.saturating_sub(then);
        #[expect(clippy::cast_precision_loss, reason = "numbers that are shown")]
        let rate = |now: u64, then: u64| since(now, then) as f64 / seconds;
        for (mapping, now) in &last.shipped.rows {
            let then = first.shipped.rows.get(mapping).copied().unwrap_or_default();
            let Rows { upserts, tombstones } = *now;
            let rates = self.rows.entry(mapping.clone()).or_default();
            rates.upserts += rate(upserts, then.upserts);
            rates.tombstones += rate(tombstones, then.tombstones);
        }
        let none = Vec::new();
        let then = first.shipped.lag.get(DESTINATION).unwrap_or(&none);
        let now = last.shipped.lag.get(DESTINATION).unwrap_or(&none);
        for (at, (sum, now)) in self.lag.iter_mut().zip(now).enumerate() {
            *sum += since(*now, then.get(at).copied().unwrap_or(0));
        }
    }

    /// Of a mapping.
    pub(crate) fn rates(&self, mapping: &str) -> Rates {
        self.rows.get(mapping).copied().unwrap_or_default()
    }

    /// Of all mappings.
    pub(crate) fn all_rates(&self) -> Rates {
        self.rows.values().fold(Rates::default(), |sum, of| Rates {
            upserts: sum.upserts + of.upserts,
            tombstones: sum.tombstones + of.tombstones,
        })
    }

    /// The lag in seconds that this part of the changes did not exceed, on a straight line through its bucket; beyond the last
    /// bound, that bound. None where nothing arrived.
    pub(crate) fn lag_s(&self, part: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "numbers that are shown")]
        let counts = || self.lag.iter().map(|count| *count as f64);
        let wanted = counts().sum::<f64>() * part;
        let (mut below, mut from) = (0.0, 0.0);
        for (count, bound) in counts().zip(LAG_BUCKETS) {
            if count > 0.0 && below + count >= wanted {
                return Some(from + (bound - from) * (wanted - below) / count);
            }
            (below, from) = (below + count, bound);
        }
        (wanted > 0.0).then_some(from)
    }
}

impl Rates {
    pub(crate) fn sum(self) -> f64 {
        self.upserts + self.tombstones
    }

    /// What part was what; empty where there was nothing.
    pub(crate) fn mix(self) -> String {
        if self.sum() <= 0.0 {
            return String::new();
        }
        let deleted = 100.0 * self.tombstones / self.sum();
        format!("{:.0} % written, {deleted:.0} % deleted", 100.0 - deleted)
    }
}

#[cfg(test)]
mod tests;
