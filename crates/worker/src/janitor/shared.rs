//! Erasing at a place where a tenancy stays: rows do not say whose they are, so each key is looked up in the source.
//!
//! What no tenancy that stays has in the source is removed: rows of the tenancy that is gone, and with them rows that the
//! others deleted, and tombstones. That takes nothing from anybody: numbers above the bound are left alone, and below it
//! nothing that was read while such a row lived can still arrive.

use lockstep_core::TenancyId;
use lockstep_destinations::clickhouse::Removal;
use lockstep_mappings::postgres::compare::Key;

use super::places::{Due, Place};
use super::{Janitor, JanitorError};
use crate::storage::janitor::JanitorSession;

/// Keys that are asked about together: below the 256 KiB that ClickHouse and a plan of Postgres take well.
const KEYS_ASKED: usize = 500;
/// Keys that are removed together: each removal rewrites parts.
const KEYS_REMOVED: usize = 20_000;

impl Janitor {
    /// Removes the rows of a mapping at a place that no tenancy but those of `gone` has, and counts that none is left.
    pub(super) async fn erase_shared(
        &self,
        session: &JanitorSession,
        due: &[Due],
        gone: &[TenancyId],
        removal: Removal<'_>,
        place: &Place,
    ) -> Result<(), JanitorError> {
        let mut after: Option<Key> = None;
        let (mut dead, mut dead_rows) = (Vec::new(), 0);
        loop {
            let found = self.clickhouse.keys_at(removal, &place.location, after.as_ref(), KEYS_ASKED).await?;
            let is_last = found.len() < KEYS_ASKED;
            after = found.last().map(|(key, _)| key.clone());
            for (key, rows) in session.dead(removal.mapping, found, gone).await? {
                dead.push(key);
                dead_rows += rows;
            }
            if dead.len() >= KEYS_REMOVED || (is_last && !dead.is_empty()) {
                self.remove(removal, &dead).await?;
                let name = removal.mapping.name.as_str();
                session.add_removed(due, place.tenancy, name, dead_rows).await?;
                dead.clear();
                dead_rows = 0;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn remove(&self, removal: Removal<'_>, keys: &[Key]) -> Result<(), JanitorError> {
        self.clickhouse.remove_keys(removal, keys).await?;
        let mut left = 0;
        for some in keys.chunks(KEYS_ASKED) {
            left += self.clickhouse.count_keys(removal, some).await?;
        }
        if left > 0 {
            return Err(JanitorError::Left { mapping: removal.mapping.name.to_string(), left });
        }
        Ok(())
    }
}
