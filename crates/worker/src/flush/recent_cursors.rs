//! Cursors that this worker has read or moved lately, for which a flush need not wait before it reads.
//!
//! A cursor never moves back (CUR-1), so one that is remembered is at most too low: then rows are shipped once more (IDEM-1).
//! Lest that becomes usual where several workers take turns with a tenancy, a cursor counts only where it stands at or above
//! the last change that was announced before: then nobody else had anything to ship.
//!
//! A destination may lose what it had taken: a backup is restored into it, another replica answers. So it is asked all the
//! same, once the rows are written, and has to confirm a cursor before that moves: see [`Confirmation`].

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Cursors, DestinationError, Failure};

use crate::hints::Hints;
use crate::mappings::{MappingIndex, Mappings};

/// What was not heard of for so long need not take up room.
const MAX_AGE: Duration = Duration::from_secs(60);
/// 64 bytes each.
const MAX_REMEMBERED: usize = 50_000;
/// Where a flush has more pairs, its cursors are a small part of its work.
const MAX_PAIRS: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Remembered {
    at: SequenceId,
    /// When the destination last said so.
    since: Instant,
}

/// What is remembered; all of it is forgotten when anything fails.
#[derive(Default, Debug)]
pub(super) struct RecentCursors {
    cursors: HashMap<(TenancyId, MappingIndex), Remembered>,
    /// Where the last flushes move cursors to, by number, until their writes have ended: what they pass is durable.
    moving: BTreeMap<u64, Vec<(TenancyId, MappingIndex, SequenceId)>>,
    /// Where writes that have ended moved cursors to, that have been moved on since: there the destination has them at least.
    ended: HashMap<(TenancyId, MappingIndex), SequenceId>,
    /// How many flushes had cursors to move.
    flushes: u64,
}

impl RecentCursors {
    /// Remembers what the destination said, or was given.
    pub(super) fn note(&mut self, cursors: impl Iterator<Item = (TenancyId, MappingIndex, SequenceId)>, now: Instant) {
        if self.cursors.len() >= MAX_REMEMBERED {
            self.cursors.retain(|_, remembered| now.duration_since(remembered.since) < MAX_AGE);
            if self.cursors.len() >= MAX_REMEMBERED {
                self.cursors.clear();
            }
        }
        for (tenancy, mapping, at) in cursors.take(MAX_REMEMBERED) {
            self.cursors.insert((tenancy, mapping), Remembered { at, since: now });
        }
    }

    /// These cursors of one flush are being written, or will be. Returns by what number [`Self::have_moved`] knows them.
    pub(super) fn are_moving(&mut self, cursors: Vec<(TenancyId, MappingIndex, SequenceId)>) -> u64 {
        self.flushes += 1;
        self.moving.insert(self.flushes, cursors);
        self.flushes
    }

    /// Whether they are still to be written, or are being written, and nothing has failed since.
    pub(super) fn are_still_moving(&self, number: u64) -> bool {
        self.moving.contains_key(&number)
    }

    /// Their write has ended.
    pub(super) fn have_moved(&mut self, number: u64) {
        let moved = self.moving.remove(&number).unwrap_or_default();
        if self.ended.len() + moved.len() > MAX_REMEMBERED {
            self.ended.clear();
        }
        for (tenancy, mapping, at) in moved {
            let ended = self.ended.entry((tenancy, mapping)).or_default();
            *ended = (*ended).max(at);
        }
    }

    /// Where the destination has to have the cursors of a flush: those that are being written at the moment where they were before.
    pub(super) fn to_confirm(&self, cursors: &Cursors, mappings: &Mappings) -> Cursors {
        let before = |(tenancy, mapping, _): &(TenancyId, MappingIndex, SequenceId)| {
            ((*tenancy, mappings.name(*mapping).clone()), self.ended.get(&(*tenancy, *mapping)).copied())
        };
        let moving: HashMap<_, _> = self.moving.values().flatten().map(before).collect();
        let expected = |(pair, at): (&(TenancyId, MappingName), &SequenceId)| {
            let at = moving.get(pair).copied().unwrap_or(Some(*at))?;
            Some((pair.clone(), at))
        };
        cursors.iter().filter_map(expected).collect()
    }

    /// Raises cursors that were asked for to where they are being moved, unless the destination has lost where they were before.
    pub(super) fn raise(&self, cursors: &mut Cursors, mappings: &Mappings) {
        for (tenancy, mapping, at) in self.moving.values().flatten() {
            let before = self.ended.get(&(*tenancy, *mapping)).copied().unwrap_or_default();
            let cursor = cursors.entry((*tenancy, mappings.name(*mapping).clone())).or_default();
            if *cursor >= before {
                *cursor = (*cursor).max(*at);
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.cursors.clear();
        self.moving.clear();
        self.ended.clear();
    }

    /// The cursors of all these pairs, or `None` where one of them has to be asked for.
    pub(super) fn of(&self, hints: &Hints, mappings: &Mappings, now: Instant) -> Option<Cursors> {
        if hints.pairs() > MAX_PAIRS {
            return None;
        }
        let known = |(tenancy, mapping, previous): (TenancyId, MappingIndex, Option<SequenceId>)| {
            let remembered = self.cursors.get(&(tenancy, mapping))?;
            let counts = remembered.at >= previous? && now.duration_since(remembered.since) < MAX_AGE;
            counts.then(|| ((tenancy, mappings.name(mapping).clone()), remembered.at))
        };
        hints.iter().map(known).collect()
    }
}

/// Whether the destination holds what cursors have passed that a flush has remembered: it is asked when the first of them is
/// to move, and its answer counts for all of the flush. An error means that no cursor may move.
pub(super) type Confirmation = Shared<BoxFuture<'static, Result<(), DestinationError>>>;

/// Asks by `asking`, once somebody waits for it, whether cursors are where they are `remembered`.
pub(super) fn confirmation(
    remembered: Cursors,
    asking: impl Future<Output = Result<Cursors, DestinationError>> + Send + 'static,
) -> Confirmation {
    let confirming = async move {
        let asked = asking.await?;
        let is_lower = |(pair, at): &(_, &SequenceId)| asked.get(*pair).copied().unwrap_or_default() < **at;
        let pairs = remembered.iter().filter(is_lower).count();
        if pairs == 0 {
            return Ok(());
        }
        tracing::error!(pairs, "the destination has lost what it had: it is shipped again");
        let reason = "a cursor is lower than where this worker had moved it";
        Err(DestinationError::new(Failure::Unavailable, super::DESTINATION, reason))
    };
    confirming.boxed().shared()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::test_mappings;
    use lockstep_core::freshness::ChangeTimes;
    use lockstep_queue::TenantHint;
    use uuid::Uuid;

    fn announced(mappings: &Mappings, previous: Option<i64>) -> Hints {
        let mut hints = Hints::default();
        let hint = TenantHint {
            tenancy: TenancyId::new(Uuid::from_u128(1)),
            mappings: vec![mappings.names()[0].clone()],
            sequence: SequenceId::new(100),
            previous: previous.map(SequenceId::new).into_iter().collect(),
            times: ChangeTimes::default(),
        };
        hints.add_batch(&[hint].into_iter().collect(), mappings);
        hints
    }

    #[test]
    fn a_cursor_counts_where_nobody_else_had_anything_to_ship_since() {
        let mappings = test_mappings();
        let (mut recent, now) = (RecentCursors::default(), Instant::now());
        let (tenancy, mapping) = (TenancyId::new(Uuid::from_u128(1)), mappings.all().next().unwrap());
        assert_eq!(recent.of(&announced(&mappings, Some(0)), &mappings, now), None, "nothing is remembered");
        recent.note([(tenancy, mapping, SequenceId::new(50))].into_iter(), now);
        let expected = Cursors::from_iter([((tenancy, mappings.names()[0].clone()), SequenceId::new(50))]);
        assert_eq!(recent.of(&announced(&mappings, Some(50)), &mappings, now), Some(expected));
        assert_eq!(recent.of(&announced(&mappings, Some(51)), &mappings, now), None, "another may have shipped 51");
        assert_eq!(recent.of(&announced(&mappings, None), &mappings, now), None, "who knows");
        assert_eq!(recent.of(&announced(&mappings, Some(50)), &mappings, now + MAX_AGE), None, "too long ago");
        recent.forget();
        assert_eq!(recent.of(&announced(&mappings, Some(50)), &mappings, now), None);
    }

    #[test]
    fn a_cursor_that_is_being_written_is_not_read_as_it_was() {
        let mappings = test_mappings();
        let mut recent = RecentCursors::default();
        let (tenancy, mapping) = (TenancyId::new(Uuid::from_u128(1)), mappings.all().next().unwrap());
        let pair = (tenancy, mappings.names()[0].clone());
        let raised = |recent: &RecentCursors, asked: Option<i64>| {
            let mut cursors: Cursors = asked.map(|at| (pair.clone(), SequenceId::new(at))).into_iter().collect();
            recent.raise(&mut cursors, &mappings);
            cursors.get(&pair).map(|at| at.get())
        };
        let first = recent.are_moving(vec![(tenancy, mapping, SequenceId::new(50))]);
        assert_eq!([None, Some(40), Some(60)].map(|asked| raised(&recent, asked)), [Some(50), Some(50), Some(60)]);
        let second = recent.are_moving(vec![(tenancy, mapping, SequenceId::new(60))]);
        assert!(recent.are_still_moving(first) && recent.are_still_moving(second));
        recent.have_moved(first);
        assert_eq!(raised(&recent, Some(50)), Some(60), "the second is still being written");
        assert_eq!(raised(&recent, Some(40)), Some(40), "the destination has lost what the first had moved");
        let flushed = Cursors::from_iter([(pair.clone(), SequenceId::new(60))]);
        let expected = Cursors::from_iter([(pair.clone(), SequenceId::new(50))]);
        assert_eq!(recent.to_confirm(&flushed, &mappings), expected, "there the destination has it at least");
        recent.have_moved(second);
        assert_eq!(recent.to_confirm(&flushed, &mappings), flushed);
        assert_eq!(raised(&recent, Some(40)), Some(40), "the destination knows");
        recent.are_moving(vec![(tenancy, mapping, SequenceId::new(70))]);
        recent.forget();
        assert_eq!(raised(&recent, Some(40)), Some(40), "what was being written may have failed");
        assert!(!recent.are_still_moving(second + 1), "and is not written any more");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mappings = test_mappings();
        let (mut recent, now) = (RecentCursors::default(), Instant::now());
        let mapping = mappings.all().next().unwrap();
        for begin in [0_u128, 1 << 20, 2 << 20] {
            let tenancies = (begin..begin + 40_000).map(|number| TenancyId::new(Uuid::from_u128(number)));
            recent.note(tenancies.map(|tenancy| (tenancy, mapping, SequenceId::BASE)), now);
            assert!(recent.cursors.len() <= 2 * MAX_REMEMBERED);
        }
    }
}
