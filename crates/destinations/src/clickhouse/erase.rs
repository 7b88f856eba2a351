//! Taking rows away for good. Statements come from `lockstep_mappings::clickhouse::erase`.

use std::collections::HashMap;
use std::time::Duration;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{Databases, erase, hide};
use lockstep_mappings::postgres::compare::Key;
use uuid::Uuid;

use super::{ClickHouse, error, failure};
use crate::error::{DestinationError, Failure};

/// Rewriting the parts of one table. Whoever waits for longer asks again: the server goes on meanwhile.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What is to be removed: rows and tombstones at places, or of keys, with a number up to this one.
#[derive(Clone, Copy, Debug)]
pub struct Removal<'a> {
    /// Where its table is.
    pub databases: &'a Databases,
    /// Which rows.
    pub mapping: &'a Mapping,
    /// Rows with higher numbers stay: they came later, and belong to somebody.
    pub up_to: SequenceId,
}

/// What a clean-up found in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OldTombstones {
    /// Those that can go.
    pub tombstones: u64,
    /// All rows there are, every version.
    pub rows: u64,
}

impl ClickHouse {
    /// How many rows there are at each of these places.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn count_at(
        &self,
        removal: Removal<'_>,
        places: &[Location],
    ) -> Result<HashMap<Location, u64>, DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        let rows: Vec<(String, String, u64)> =
            self.fetch_rows(&erase::count_at(mapping, databases, places, up_to)).await?;
        Ok(rows.into_iter().map(|(project_id, branch_id, rows)| (Location { project_id, branch_id }, rows)).collect())
    }

    /// Hides them from readers. Whoever reads sees them no more; they are still there.
    ///
    /// # Errors
    /// What the server says; it can be done again.
    pub async fn hide_at(&self, removal: Removal<'_>, places: &[Location]) -> Result<(), DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        self.rewrite(&hide(mapping, databases, up_to, places)).await
    }

    /// Removes them, and waits until they are gone.
    ///
    /// # Errors
    /// What the server says; it can be done again.
    pub async fn remove_at(&self, removal: Removal<'_>, places: &[Location]) -> Result<(), DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        self.rewrite(&erase::remove_at(mapping, databases, places, up_to)).await
    }

    /// The next `limit` keys at a place, each with the number of its rows.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn keys_at(
        &self,
        removal: Removal<'_>,
        place: &Location,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, u64)>, DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        let sql = erase::keys_at(mapping, databases, place, up_to, after, limit);
        let rows: Vec<(Vec<String>, u64)> = self.fetch_rows(&sql).await?;
        Ok(rows.into_iter().map(|(values, rows)| (Key { location: place.clone(), values }, rows)).collect())
    }

    /// How many rows these keys have.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn count_keys(&self, removal: Removal<'_>, keys: &[Key]) -> Result<u64, DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        let rows: Vec<(u64,)> = self.fetch_rows(&erase::count_keys(mapping, databases, keys, up_to)).await?;
        Ok(rows.first().map_or(0, |row| row.0))
    }

    /// Removes everything with these keys, and waits until it is gone.
    ///
    /// # Errors
    /// What the server says; it can be done again.
    pub async fn remove_keys(&self, removal: Removal<'_>, keys: &[Key]) -> Result<(), DestinationError> {
        let Removal { databases, mapping, up_to } = removal;
        self.rewrite(&erase::remove_keys(mapping, databases, keys, up_to)).await
    }

    /// How many cursor rows these tenancies have.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn count_cursors(
        &self,
        databases: &Databases,
        tenancies: &[TenancyId],
        up_to: SequenceId,
    ) -> Result<HashMap<TenancyId, u64>, DestinationError> {
        let rows: Vec<(Uuid, u64)> = self.fetch_rows(&erase::count_cursors(databases, tenancies, up_to)).await?;
        Ok(rows.into_iter().map(|(id, rows)| (TenancyId::new(id), rows)).collect())
    }

    /// Removes their cursors, and waits until they are gone.
    ///
    /// # Errors
    /// What the server says; it can be done again.
    pub async fn remove_cursors(
        &self,
        databases: &Databases,
        tenancies: &[TenancyId],
        up_to: SequenceId,
    ) -> Result<(), DestinationError> {
        self.rewrite(&erase::remove_cursors(databases, tenancies, up_to)).await
    }

    /// The server's clock, in milliseconds since 1970: the one by which rows are said to have come.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn now_ms(&self) -> Result<i64, DestinationError> {
        let rows: Vec<(i64,)> = self.fetch_rows("SELECT toUnixTimestamp64Milli(now64(3))").await?;
        rows.first().map(|row| row.0).ok_or_else(|| error(Failure::Unexpected, "it does not tell the time"))
    }

    /// How many tombstones of a table came before that moment.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn old_tombstones(
        &self,
        databases: &Databases,
        mapping: &Mapping,
        before_ms: i64,
    ) -> Result<OldTombstones, DestinationError> {
        let counts: Vec<(u64, u64)> = self.fetch_rows(&erase::count_tombstones(mapping, databases, before_ms)).await?;
        let (tombstones, rows) = counts.first().copied().unwrap_or_default();
        Ok(OldTombstones { tombstones, rows })
    }

    /// Drops tombstones that came before that moment, and every row that they hide. False: not all parts of the table
    /// could be merged, so nothing was dropped.
    ///
    /// The caller knows that no row with a lower number than such a tombstone is still to come.
    ///
    /// # Errors
    /// What the server says; it can be done again.
    pub async fn drop_tombstones(
        &self,
        databases: &Databases,
        mapping: &Mapping,
        before_ms: i64,
    ) -> Result<bool, DestinationError> {
        let before = self.parts(databases, mapping).await?;
        self.rewrite(&erase::merge(mapping, databases)).await?;
        let after = self.parts(databases, mapping).await?;
        // A row in a part that was left out would be back without its tombstone.
        if after.iter().any(|part| before.contains(part)) {
            return Ok(false);
        }
        self.rewrite(&erase::remove_tombstones(mapping, databases, before_ms)).await?;
        Ok(true)
    }

    async fn parts(&self, databases: &Databases, mapping: &Mapping) -> Result<Vec<String>, DestinationError> {
        let parts: Vec<(String,)> = self.fetch_rows(&erase::parts(mapping, databases)).await?;
        Ok(parts.into_iter().map(|part| part.0).collect())
    }

    /// How many statements that rewrite parts of a mapping's table are not done yet: the server goes on with them when nobody
    /// waits any more.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_rows`].
    pub async fn rewrites_under_way(&self, databases: &Databases, mapping: &Mapping) -> Result<u64, DestinationError> {
        let rows: Vec<(u64,)> = self.fetch_rows(&erase::rewrites(mapping, databases)).await?;
        Ok(rows.first().map_or(0, |row| row.0))
    }

    /// Runs a statement that rewrites parts, and waits until it is done.
    async fn rewrite(&self, sql: &str) -> Result<(), DestinationError> {
        // The server parses 256 KiB of a statement unless told otherwise.
        let size = (sql.len() + 1024).to_string();
        let statement = self.client.query_raw(sql).with_setting("max_query_size", size).execute();
        match tokio::time::timeout(REWRITE_TIMEOUT, statement).await {
            Ok(done) => done.map_err(|error| failure::from_client(&error)),
            Err(_) => {
                let waited = REWRITE_TIMEOUT.as_secs();
                Err(error(Failure::Unavailable, format!("rewriting parts takes longer than {waited} s")))
            }
        }
    }
}
