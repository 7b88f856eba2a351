//! Erasing tenancies that are gone, or paused by hand, from the destination (ERASE-1).
//!
//! The order is: rows of all mappings, counted before and after; cursors; and only then what the source still knows of the
//! tenancy. Killed anywhere, the next round starts with the rows again and finds fewer.
//!
//! Only rows with numbers up to a bound are removed: the last number when the last of these tenancies was noticed. Every row of
//! theirs that was ever read has a lower one: from then on nothing of theirs is shipped. A tenancy that comes to one of their
//! places afterwards, with their id or another, has changes of all its rows, above it; the pass that notes the same id drops the
//! erasure, so that what was shipped since is hidden and erased anew where it goes again. The wait since then is longer than
//! anything can be written that was read before, so nothing arrives behind the erasure.

use std::collections::HashMap;

use lockstep_core::{Location, MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Destination, Erase, Removal, Selection, without_ahead};
use lockstep_mappings::postgres::Target;

use super::places::{Due, Place, RowsOf, bytes_of, statements};
use super::{Janitor, JanitorError};
use crate::storage::janitor::{JanitorSession, NOTICED_AT_ONCE};

/// A tenancy in a list.
const UUID_BYTES: usize = 40;

/// Cursor rows, in the receipt.
const CURSORS: &str = "_cursors";
/// Entries of the quarantine, in the receipt.
const QUARANTINE: &str = "_quarantine";

impl<D: Destination + Erase> Janitor<D> {
    /// Takes note of tenancies that are gone and whose rows the destination no longer shows: it has passed all changes of
    /// theirs, and with these every row got a tombstone, or shows whoever lives there now. Returns how many are new, and
    /// whether there may be more.
    pub(super) async fn notice(&self, session: &JanitorSession) -> Result<(usize, bool), JanitorError> {
        let targets = self.set.iter().map(|mapping| (Target::row(mapping).id(), &mapping.name)).collect();
        let head = session.head().await?;
        let gone = session.gone(&targets).await?;
        let tenancies: Vec<_> = gone.keys().copied().collect();
        if tenancies.is_empty() {
            return Ok((0, false));
        }
        let names: Vec<_> = self.set.iter().map(|mapping| mapping.name.clone()).collect();
        let cursors = self.destination.cursors(Selection::These(&tenancies), Selection::These(&names)).await?;
        let cursors = without_ahead(cursors, head);
        let is_past = |tenancy: TenancyId, (mapping, last): &(MappingName, SequenceId)| {
            cursors.get(&(tenancy, mapping.clone())).is_some_and(|cursor| cursor >= last)
        };
        let hidden: Vec<_> = gone
            .into_iter()
            .filter(|(tenancy, last)| last.iter().all(|last| is_past(*tenancy, last)))
            .map(|(tenancy, _)| tenancy)
            .collect();
        session.notice(&hidden, head).await?;
        Ok((hidden.len(), !hidden.is_empty() && tenancies.len() >= NOTICED_AT_ONCE))
    }

    /// Erases tenancies whose wait is over, some at a time. Returns how many.
    pub(super) async fn erase(&self, session: &JanitorSession) -> Result<usize, JanitorError> {
        session.forget_returned().await?;
        let due = session.due(self.limits.erasures_at_once).await?;
        let Some(up_to) = due.iter().map(|due| due.up_to).max() else { return Ok(0) };
        if session.is_one_built_beside().await? {
            // The receipt would say that all is gone while a table that is about to be replaced still holds it.
            tracing::info!(
                tenancies = due.len(),
                "nothing is erased before a table that is built beside another has taken its place"
            );
            return Ok(0);
        }
        let tenancies: Vec<_> = due.iter().map(|due| due.tenancy).collect();
        let places = session.places(&tenancies).await?;
        let (shared, own): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.is_shared);
        for mapping in self.set.iter() {
            let under_way = self.destination.removals_under_way(mapping).await?;
            if under_way > 0 {
                // What was asked for is not asked for again.
                return Err(JanitorError::Rewriting { mapping: mapping.name.to_string(), under_way });
            }
            let removal = Removal { mapping, up_to };
            self.erase_places(session, &due, removal, &own).await?;
            self.erase_shared(session, &due, removal, &shared).await?;
        }
        self.erase_cursors(session, &due, &tenancies, up_to).await?;
        session.proven(&due).await?;
        session.delete_quarantine(&due, QUARANTINE).await?;
        let finished = session.finish(&due).await?;
        tracing::info!(tenancies = finished, "tenancies are erased; the receipts are in lockstep.erasure");
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
        let mut counts = self.count(removal, places).await?;
        if counts.is_empty() {
            return Ok(());
        }
        // Those that have rows, once each.
        let mut locations: Vec<Location> = counts.keys().cloned().collect();
        locations.sort_unstable_by(|one, other| {
            (&one.project_id, &one.branch_id).cmp(&(&other.project_id, &other.branch_id))
        });
        let mut rows_of = RowsOf::new();
        for place in places {
            // Two tenancies may have lived at a place: all of its rows are credited to the first.
            *rows_of.entry(place.tenancy).or_default() += counts.remove(&place.location).unwrap_or_default();
        }
        // Written down first: a round that is killed behind the removal could not count them again.
        session.count_removed(due, removal.mapping.name.as_str(), &rows_of).await?;
        for some in statements(&locations, bytes_of_location) {
            self.destination.remove_at(removal, some).await?;
        }
        let left: u64 = self.count(removal, places).await?.values().sum();
        if left > 0 {
            return Err(JanitorError::Left { mapping: removal.mapping.name.to_string(), left });
        }
        Ok(())
    }

    /// How many rows each of these places has; those that have none are left out.
    pub(super) async fn count(
        &self,
        removal: Removal<'_>,
        places: &[&Place],
    ) -> Result<HashMap<Location, u64>, JanitorError> {
        let locations: Vec<Location> = places.iter().map(|place| place.location.clone()).collect();
        let mut counts = HashMap::new();
        for some in statements(&locations, bytes_of_location) {
            counts.extend(self.destination.count_at(removal, some).await?);
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
        for some in statements(tenancies, |_| UUID_BYTES) {
            let counts = self.destination.count_cursors(some, up_to).await?;
            if counts.is_empty() {
                continue;
            }
            session.count_removed(due, CURSORS, &counts.into_iter().collect()).await?;
            self.destination.remove_cursors(some, up_to).await?;
            let left: u64 = self.destination.count_cursors(some, up_to).await?.values().sum();
            if left > 0 {
                return Err(JanitorError::Left { mapping: "the cursors".to_owned(), left });
            }
        }
        Ok(())
    }
}

fn bytes_of_location(location: &Location) -> usize {
    bytes_of([&location.project_id, &location.branch_id])
}
