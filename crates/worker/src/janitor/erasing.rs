//! Erasing tenancies that are gone, or stopped by hand, from the destination (ERASE-1).
//!
//! The order is: rows of all mappings, counted before and after; cursors; and only then what the source still knows of the
//! tenancy. Killed anywhere, the next round starts with the rows again and finds fewer.
//!
//! Only rows with numbers up to a bound are removed: the last number that was stamped when the last of these tenancies was
//! seen to be gone. Every row of theirs that was ever read has a lower one. A tenancy that comes to one of their places
//! afterwards, with their id or another, has all its rows stamped anew, above it. The wait since then is longer than
//! anything can be written that was read before, so nothing arrives behind the erasure.

use std::collections::{BTreeMap, HashMap};

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_destinations::clickhouse::Removal;

use super::places::{Due, Place};
use super::{Janitor, JanitorError};
use crate::storage::janitor::JanitorSession;

/// Places in one statement.
const PLACES_AT_ONCE: usize = 500;

/// Cursor rows, in the receipt.
const CURSORS: &str = "_cursors";
/// Entries of the quarantine, in the receipt.
const QUARANTINE: &str = "_quarantine";
/// Tombstones in the source, in the receipt.
const TOMBSTONES: &str = "_tombstones";

impl Janitor {
    /// Hides the rows of tenancies that were noticed to be gone, some at a time: readers need not wait as long as an erasure
    /// has to. Where a living tenancy has rows too, they are shown until they are erased.
    pub(super) async fn hide(&self, session: &JanitorSession) -> Result<(), JanitorError> {
        let gone = session.shown(self.limits.erasures_at_once).await?;
        let Some(up_to) = gone.iter().map(|gone| gone.up_to).max() else { return Ok(()) };
        let tenancies: Vec<_> = gone.iter().map(|gone| gone.tenancy).collect();
        let mut places = session.places(&tenancies).await?;
        places.retain(|place| !place.is_shared);
        let locations: Vec<Location> = places.into_iter().map(|place| place.location).collect();
        for mapping in self.set.iter() {
            for some in locations.chunks(PLACES_AT_ONCE) {
                self.clickhouse.hide_at(Removal { databases: &self.databases, mapping, up_to }, some).await?;
            }
        }
        Ok(session.hidden(&gone).await?)
    }

    /// Erases tenancies whose wait is over, some at a time. Returns how many.
    pub(super) async fn erase(&self, session: &JanitorSession) -> Result<usize, JanitorError> {
        session.forget_returned().await?;
        let due = session.due(self.limits.erasures_at_once).await?;
        let Some(up_to) = due.iter().map(|due| due.up_to).max() else { return Ok(0) };
        let tenancies: Vec<_> = due.iter().map(|due| due.tenancy).collect();
        let places = session.places(&tenancies).await?;
        let (shared, own): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.is_shared);
        for mapping in self.set.iter() {
            let removal = Removal { databases: &self.databases, mapping, up_to };
            self.erase_places(session, &due, removal, &own).await?;
            for place in &shared {
                self.erase_shared(session, &due, &tenancies, removal, place).await?;
            }
        }
        self.erase_cursors(session, &due, &tenancies, up_to).await?;
        session.proven(&due).await?;
        for one in &due {
            self.forget(session, one).await?;
        }
        Ok(due.len())
    }

    /// Removes all rows of a mapping at places where nobody else is.
    async fn erase_places(
        &self,
        session: &JanitorSession,
        due: &[Due],
        removal: Removal<'_>,
        places: &[&Place],
    ) -> Result<(), JanitorError> {
        let locations: Vec<Location> = places.iter().map(|place| place.location.clone()).collect();
        let mut counts = self.count(removal, &locations).await?;
        if counts.is_empty() {
            return Ok(());
        }
        // Written down first: a round that is killed behind the removal could not count them again.
        let mut rows_of: BTreeMap<TenancyId, u64> = BTreeMap::new();
        for place in places {
            // Where two were, the first has them all.
            *rows_of.entry(place.tenancy).or_default() += counts.remove(&place.location).unwrap_or_default();
        }
        for (tenancy, rows) in rows_of {
            session.count_removed(due, tenancy, removal.mapping.name.as_str(), rows).await?;
        }
        for some in locations.chunks(PLACES_AT_ONCE) {
            self.clickhouse.remove_at(removal, some).await?;
        }
        let left: u64 = self.count(removal, &locations).await?.values().sum();
        if left > 0 {
            return Err(JanitorError::Left { mapping: removal.mapping.name.to_string(), left });
        }
        Ok(())
    }

    async fn count(
        &self,
        removal: Removal<'_>,
        locations: &[Location],
    ) -> Result<HashMap<Location, u64>, JanitorError> {
        let mut counts = HashMap::new();
        for some in locations.chunks(PLACES_AT_ONCE) {
            counts.extend(self.clickhouse.count_at(removal, some).await?);
        }
        Ok(counts)
    }

    async fn erase_cursors(
        &self,
        session: &JanitorSession,
        due: &[Due],
        tenancies: &[TenancyId],
        up_to: SequenceId,
    ) -> Result<(), JanitorError> {
        let counts = self.clickhouse.count_cursors(&self.databases, tenancies, up_to).await?;
        if counts.is_empty() {
            return Ok(());
        }
        for (tenancy, rows) in counts {
            session.count_removed(due, tenancy, CURSORS, rows).await?;
        }
        self.clickhouse.remove_cursors(&self.databases, tenancies, up_to).await?;
        let left: u64 = self.clickhouse.count_cursors(&self.databases, tenancies, up_to).await?.values().sum();
        if left > 0 {
            return Err(JanitorError::Left { mapping: "the cursors".to_owned(), left });
        }
        Ok(())
    }

    /// Removes what the source knows of a tenancy, and ends its receipt.
    async fn forget(&self, session: &JanitorSession, due: &Due) -> Result<(), JanitorError> {
        let one = std::slice::from_ref(due);
        let quarantined = session.delete_quarantine(due).await?;
        session.add_removed(one, due.tenancy, QUARANTINE, quarantined).await?;
        loop {
            let deleted = session.delete_tombstones(due.tenancy, self.limits.prune_rows).await?;
            session.add_removed(one, due.tenancy, TOMBSTONES, deleted).await?;
            if deleted < u64::from(self.limits.prune_rows) {
                break;
            }
        }
        if session.finish(due).await? {
            tracing::info!(tenancy = %due.tenancy, "a tenancy is erased; the receipt is in lockstep.erasure");
        }
        Ok(())
    }
}
