//! Erasing at a place where a tenancy stays: rows do not say whose they are, so each key is looked up in the source.
//!
//! What no tenancy that stays has in the source is removed: rows of the tenancy that is gone, and with them rows that the
//! others deleted, and tombstones. That takes nothing from anybody: numbers above the bound are left alone, and below it
//! nothing that was read while such a row lived can still arrive.

use lockstep_core::TenancyId;
use lockstep_destinations::{Destination, Erase, Removal};
use lockstep_mappings::postgres::compare::Key;

use super::places::{Due, Place, RowsOf, bytes_of, statements};
use super::{Janitor, JanitorError};
use crate::storage::janitor::JanitorSession;

/// Keys that are asked about together: below the 256 KiB that ClickHouse and a plan of Postgres take well.
const KEYS_ASKED: usize = 500;
/// Keys that are removed together: each removal rewrites parts.
const KEYS_REMOVED: usize = 20_000;

/// Goes over the keys of shared places, some at a time.
struct Walk<'a> {
    places: &'a [&'a Place],
    after: Option<Key>,
}

impl<D: Destination + Erase> Janitor<D> {
    /// Removes the rows of a mapping at places, that no tenancy but those that are erased has, and counts that none is left.
    ///
    /// The keys are gone over twice where there are many: all are counted and written down before the first is removed, so
    /// that the receipt is right wherever this breaks off.
    pub(super) async fn erase_shared(
        &self,
        session: &JanitorSession,
        due: &[Due],
        removal: Removal<'_>,
        places: &[&Place],
    ) -> Result<(), JanitorError> {
        let mut counts = self.count(removal, places).await?;
        // Two tenancies may have lived at a place: all of its rows are credited to the first.
        let places: Vec<&Place> =
            places.iter().copied().filter(|place| counts.remove(&place.location).is_some()).collect();
        let paused: Vec<_> = due.iter().filter(|due| due.paused).map(|due| due.tenancy).collect();
        let (mut rows_of, mut dead, mut is_whole) = (RowsOf::new(), Vec::new(), true);
        let mut walk = Walk { places: &places, after: None };
        while let Some((tenancy, found)) = self.next_dead(session, removal, &paused, &mut walk).await? {
            *rows_of.entry(tenancy).or_default() += found.iter().map(|(_, rows)| rows).sum::<u64>();
            if dead.len() < KEYS_REMOVED {
                dead.extend(found.into_iter().map(|(key, _)| key));
            } else {
                is_whole &= found.is_empty();
            }
        }
        session.count_removed(due, removal.mapping.name.as_str(), &rows_of).await?;
        if is_whole {
            return self.remove(removal, &dead).await;
        }
        dead.clear();
        let mut walk = Walk { places: &places, after: None };
        while let Some((_, found)) = self.next_dead(session, removal, &paused, &mut walk).await? {
            dead.extend(found.into_iter().map(|(key, _)| key));
            if dead.len() >= KEYS_REMOVED {
                self.remove(removal, &dead).await?;
                dead.clear();
            }
        }
        self.remove(removal, &dead).await
    }

    /// The dead ones among the next keys, and whose place they are at. `None`: all places have been gone over.
    async fn next_dead(
        &self,
        session: &JanitorSession,
        removal: Removal<'_>,
        paused: &[TenancyId],
        walk: &mut Walk<'_>,
    ) -> Result<Option<(TenancyId, Vec<(Key, u64)>)>, JanitorError> {
        let Some((place, others)) = walk.places.split_first() else { return Ok(None) };
        let found = self.destination.keys_at(removal, &place.location, walk.after.as_ref(), KEYS_ASKED).await?;
        if found.len() < KEYS_ASKED {
            (walk.places, walk.after) = (others, None);
        } else {
            walk.after = found.last().map(|(key, _)| key.clone());
        }
        Ok(Some((place.tenancy, session.dead(removal.mapping, found, paused).await?)))
    }

    async fn remove(&self, removal: Removal<'_>, keys: &[Key]) -> Result<(), JanitorError> {
        let bytes =
            |key: &Key| bytes_of([&key.location.project_id, &key.location.branch_id].into_iter().chain(&key.values));
        let mut left = 0;
        for some in statements(keys, bytes) {
            self.destination.remove_keys(removal, some).await?;
            left += self.destination.count_keys(removal, some).await?;
        }
        if left > 0 {
            return Err(JanitorError::Left { mapping: removal.mapping.name.to_string(), left });
        }
        Ok(())
    }
}
