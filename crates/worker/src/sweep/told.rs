//! What the sweep tells of how fresh the destination is: to metrics in every round, and to `lockstep.sweep_result` now and then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lockstep_core::MappingName;
use lockstep_core::freshness::{Stage, oldest_news};

use crate::metrics;
use crate::storage::progress::Changed;

/// How often results are written where something has changed.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often they are written in any case.
const IDLE_WRITE_EVERY: Duration = Duration::from_secs(10);

/// What was found of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct OfMapping {
    /// Tenancies whose cursors were asked for since the result before.
    pub(crate) tenancies: u64,
    /// Tenancies that are behind.
    pub(crate) behind: u64,
    /// Since when the first of their changes has waited.
    pub(crate) oldest: Option<Instant>,
}

/// What was found of all mappings.
pub(crate) type Found = BTreeMap<MappingName, OfMapping>;

/// What has been told.
#[derive(Default, Debug)]
pub(super) struct Told {
    /// Since when the oldest change has waited that is not known to be in the destination. It stays, and grows older, while
    /// rounds fail.
    oldest: Option<Instant>,
    /// When the last round began that ended well: what had its number then has been looked for.
    swept: Option<Instant>,
    /// Tenancies that were looked at and not told of.
    looked: BTreeMap<MappingName, u64>,
    written: Option<(Instant, Found)>,
    is_telling: bool,
}

impl Told {
    /// Another worker sweeps, and tells.
    pub(super) fn left_to_another(&mut self, names: impl Iterator<Item = MappingName>) {
        if std::mem::take(&mut self.is_telling) {
            *self = Self::default();
            oldest_news(Stage::Behind, None);
            names.for_each(|name| metrics::behind(&name, 0));
        }
    }

    /// Whether this worker has not swept before: then it has to be told since when something may wait.
    pub(super) const fn is_new(&self) -> bool {
        self.swept.is_none() && self.oldest.is_none()
    }

    /// A round begins. `waits`: there are changes that are not known to be in the destination; `before`: since when, where
    /// another has swept before.
    pub(super) fn began(&mut self, now: Instant, waits: bool, before: Option<Duration>) {
        self.is_telling = true;
        if self.oldest.is_none() && waits {
            self.oldest = before.map_or(self.swept, |before| now.checked_sub(before)).or(Some(now));
        }
        oldest_news(Stage::Behind, self.oldest.map(|oldest| now.duration_since(oldest)));
    }

    /// A round was cut off, since the destination does not answer: nobody knows that it holds any of these changes.
    pub(super) fn cut_off(&self, names: &[MappingName], changed: &Changed) {
        for name in names {
            let behind = changed.keys().filter(|(_, mapping)| mapping == name).count();
            metrics::behind(name, behind as u64);
        }
    }

    /// Since when a change may wait that a round has found which began then.
    pub(super) fn found_since(&self, began: Instant) -> Instant {
        self.swept.or(self.oldest).unwrap_or(began)
    }

    /// Cursors of a tenancy were asked for.
    pub(super) fn looked(&mut self, mapping: &MappingName) {
        match self.looked.get_mut(mapping) {
            Some(tenancies) => *tenancies += 1,
            None => drop(self.looked.insert(mapping.clone(), 1)),
        }
    }

    /// A round that began then has ended, and found this; `all`: it has followed all changes. Returns what is to be written.
    pub(super) fn ended(&mut self, began: Instant, mut found: Found, all: bool) -> Option<Found> {
        found.iter().for_each(|(name, of)| metrics::behind(name, of.behind));
        let first = found.values().filter_map(|of| of.oldest).min();
        self.oldest = if all { first } else { self.oldest.or(first) };
        self.swept = Some(began);
        oldest_news(Stage::Behind, self.oldest.map(|oldest| oldest.elapsed()));
        let wait = match &self.written {
            Some((_, before)) if is_same(before, &found) => IDLE_WRITE_EVERY,
            _ => WRITE_EVERY,
        };
        if self.written.as_ref().is_some_and(|(at, _)| began.duration_since(*at) < wait) {
            return None;
        }
        for (name, tenancies) in std::mem::take(&mut self.looked) {
            found.entry(name).or_default().tenancies = tenancies;
        }
        self.written = Some((began, found.clone()));
        Some(found)
    }
}

fn is_same(before: &Found, now: &Found) -> bool {
    before.len() == now.len()
        && now.iter().all(|(name, now)| {
            before.get(name).is_some_and(|before| (before.behind, before.oldest) == (now.behind, now.oldest))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(behind: u64, oldest: Option<Instant>) -> Found {
        Found::from([("users".parse().unwrap(), OfMapping { tenancies: 0, behind, oldest })])
    }

    #[test]
    fn what_waits_is_counted_from_the_last_round_that_went_well_and_grows_older_while_rounds_fail() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut told = Told::default();
        assert!(told.is_new());
        told.began(at(0), false, None);
        assert!(told.ended(at(0), found(0, None), true).is_some());
        assert!(!told.is_new());
        told.began(at(5), true, None);
        assert_eq!(told.oldest, Some(at(0)), "the destination may be away: nothing is known of what came since");
        told.began(at(9), true, None);
        assert_eq!((told.oldest, told.found_since(at(9))), (Some(at(0)), at(0)));
        told.ended(at(9), found(1, Some(at(3))), true);
        assert_eq!(told.oldest, Some(at(3)));
        told.ended(at(10), found(0, None), false);
        assert_eq!(told.oldest, Some(at(3)), "not all changes were followed");
        told.ended(at(11), found(0, None), true);
        assert_eq!(told.oldest, None);
    }

    #[test]
    fn one_that_takes_over_goes_on_from_what_was_told() {
        let (start, mut told) = (Instant::now() + Duration::from_secs(60), Told::default());
        told.began(start, true, Some(Duration::from_secs(7)));
        assert_eq!(told.oldest, start.checked_sub(Duration::from_secs(7)));
        told.left_to_another(std::iter::empty());
        assert!(told.is_new());
    }

    #[test]
    fn what_has_changed_is_written_after_a_second_and_what_has_not_after_ten() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut told = Told::default();
        told.looked(&"users".parse().unwrap());
        let first = told.ended(at(0), found(1, Some(start)), true).unwrap();
        assert_eq!(first.values().map(|of| of.tenancies).sum::<u64>(), 1);
        assert_eq!(told.ended(at(0), found(0, None), true), None);
        assert_eq!(told.ended(at(1), found(0, None), true), Some(found(0, None)));
        assert_eq!(told.ended(at(10), found(0, None), true), None);
        assert_eq!(told.ended(at(11), found(0, None), true), Some(found(0, None)));
    }
}
