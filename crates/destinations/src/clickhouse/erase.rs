//! Erasing in ClickHouse. Statements come from `lockstep_mappings::clickhouse::erase`.

use std::collections::HashMap;
use std::time::Duration;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{StaleAt, count_stale, erase, remove_stale};
use lockstep_mappings::postgres::compare::Key;
use uuid::Uuid;

use super::{ClickHouse, Timeouts, error, failure};
use crate::erase::{Erase, OldTombstones, PLACES_PER_STATEMENT, Removal};
use crate::error::{DestinationError, Failure};

/// Rewriting the parts of one table. Whoever waits for longer asks again: the server goes on meanwhile.
const REWRITE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Looking at all rows of a mapping.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl Erase for ClickHouse {
    async fn removals_under_way(&self, mapping: &Mapping) -> Result<u64, DestinationError> {
        self.fetch_one(&erase::rewrites(mapping, &self.databases)).await
    }

    async fn count_at(
        &self,
        Removal { mapping, up_to }: Removal<'_>,
        places: &[Location],
    ) -> Result<HashMap<Location, u64>, DestinationError> {
        let rows: Vec<(String, String, u64)> =
            self.fetch_rows(&erase::count_at(mapping, &self.databases, places, up_to)).await?;
        Ok(rows.into_iter().map(|(project_id, branch_id, rows)| (Location { project_id, branch_id }, rows)).collect())
    }

    async fn remove_at(
        &self,
        Removal { mapping, up_to }: Removal<'_>,
        places: &[Location],
    ) -> Result<(), DestinationError> {
        rewrite(self, &erase::remove_at(mapping, &self.databases, places, up_to)).await
    }

    async fn keys_at(
        &self,
        Removal { mapping, up_to }: Removal<'_>,
        place: &Location,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, u64)>, DestinationError> {
        let sql = erase::keys_at(mapping, &self.databases, place, up_to, after, limit);
        let rows: Vec<(Vec<String>, u64)> = self.fetch_rows(&sql).await?;
        Ok(rows.into_iter().map(|(values, rows)| (Key { location: place.clone(), values }, rows)).collect())
    }

    async fn count_keys(&self, Removal { mapping, up_to }: Removal<'_>, keys: &[Key]) -> Result<u64, DestinationError> {
        self.fetch_one(&erase::count_keys(mapping, &self.databases, keys, up_to)).await
    }

    async fn remove_keys(&self, Removal { mapping, up_to }: Removal<'_>, keys: &[Key]) -> Result<(), DestinationError> {
        rewrite(self, &erase::remove_keys(mapping, &self.databases, keys, up_to)).await
    }

    async fn count_cursors(
        &self,
        tenancies: &[TenancyId],
        up_to: SequenceId,
    ) -> Result<HashMap<TenancyId, u64>, DestinationError> {
        let rows: Vec<(Uuid, u64)> = self.fetch_rows(&erase::count_cursors(&self.databases, tenancies, up_to)).await?;
        Ok(rows.into_iter().map(|(id, rows)| (TenancyId::new(id), rows)).collect())
    }

    async fn remove_cursors(&self, tenancies: &[TenancyId], up_to: SequenceId) -> Result<(), DestinationError> {
        rewrite(self, &erase::remove_cursors(&self.databases, tenancies, up_to)).await
    }

    async fn remove_stale(
        &self,
        mapping: &Mapping,
        floor: SequenceId,
        at: StaleAt<'_>,
    ) -> Result<u64, DestinationError> {
        let timeouts = Timeouts { statement: SCAN_TIMEOUT, stream_idle: SCAN_TIMEOUT, ..self.timeouts };
        let patient = self.clone().with_timeouts(timeouts);
        let pages = match at {
            StaleAt::These(places) => places.chunks(PLACES_PER_STATEMENT).map(StaleAt::These).collect(),
            StaleAt::AllBut(_) => vec![at],
        };
        let mut removed = 0;
        for at in pages {
            let stale: u64 = patient.fetch_one(&count_stale(mapping, &self.databases, floor, at)).await?;
            if stale > 0 {
                patient.execute(&remove_stale(mapping, &self.databases, floor, at)).await?;
            }
            removed += stale;
        }
        Ok(removed)
    }

    async fn now_ms(&self) -> Result<i64, DestinationError> {
        self.fetch_one("SELECT toUnixTimestamp64Milli(now64(3))").await
    }

    async fn old_tombstones(&self, mapping: &Mapping, before_ms: i64) -> Result<OldTombstones, DestinationError> {
        let counts: Vec<(u64, u64)> =
            self.fetch_rows(&erase::count_tombstones(mapping, &self.databases, before_ms)).await?;
        let (tombstones, rows) = counts.first().copied().unwrap_or_default();
        Ok(OldTombstones { tombstones, rows })
    }

    async fn drop_tombstones(&self, mapping: &Mapping, before_ms: i64) -> Result<bool, DestinationError> {
        let before = parts(self, mapping).await?;
        rewrite(self, &erase::merge(mapping, &self.databases)).await?;
        let after = parts(self, mapping).await?;
        // A row in a part that was left out would be back without its tombstone.
        if after.iter().any(|part| before.contains(part)) {
            return Ok(false);
        }
        rewrite(self, &erase::remove_tombstones(mapping, &self.databases, before_ms)).await?;
        Ok(true)
    }
}

async fn parts(clickhouse: &ClickHouse, mapping: &Mapping) -> Result<Vec<(String,)>, DestinationError> {
    clickhouse.fetch_rows(&erase::parts(mapping, &clickhouse.databases)).await
}

/// Runs a statement that rewrites parts, and waits until it is done.
async fn rewrite(clickhouse: &ClickHouse, sql: &str) -> Result<(), DestinationError> {
    // The server parses 256 KiB of a statement unless told otherwise.
    let size = (sql.len() + 1024).to_string();
    let client = &clickhouse.connection.pinned(clickhouse.timeouts.statement).await?.writing;
    let statement = client.query_raw(sql).with_setting("max_query_size", size).execute();
    match tokio::time::timeout(REWRITE_TIMEOUT, statement).await {
        Ok(done) => done.map_err(|error| clickhouse.connection.noted(failure::from_client(&error))),
        Err(_) => {
            let waited = REWRITE_TIMEOUT.as_secs();
            Err(error(Failure::Unavailable, format!("rewriting parts takes longer than {waited} s")))
        }
    }
}
