//! What erasing asks and writes in the source: who is gone, where they were, the receipts.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::postgres::compare::Key;
use lockstep_mappings::postgres::{erase, table, tenancy_table};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::DESTINATION;
use super::fetch::limit;
use super::tenancies::uuids;
use crate::janitor::{Due, Place};

/// One janitor at a time, whichever worker it is in: the bytes of `locksjan`.
const JANITOR_LOCK: i64 = i64::from_be_bytes(*b"locksjan");
/// Tenancies that are noticed in one statement. Others are noticed by the next round.
const NOTICED_AT_ONCE: i64 = 10_000;

/// Adds to the count of one kind of rows in a receipt.
const ADD_REMOVED: &str = "UPDATE lockstep.erasure SET removed = removed || jsonb_build_object($2::text, COALESCE((removed ->> $2)::bigint, 0) + $3::bigint) WHERE id = $1";
/// Sets it, unless it is there already: then an earlier round found more.
const COUNT_REMOVED: &str =
    "UPDATE lockstep.erasure SET removed = jsonb_build_object($2::text, $3::bigint) || removed WHERE id = $1";

/// How long the janitor waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    /// For what was read before to be written, or never.
    pub(crate) wait: Duration,
    /// Before tombstones are deleted from the source.
    pub(crate) retention: Duration,
}

/// A connection of the janitor's. While it lives and holds the lock, no other worker's janitor does anything.
pub(crate) struct JanitorSession {
    pub(super) client: Client,
    delete_tombstones: String,
    leading: bool,
}

impl JanitorSession {
    pub(crate) async fn open(source: &Source, set: &MappingSet) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute("SET statement_timeout = '60s'").await?;
        Ok(Self { client, delete_tombstones: erase::delete_tombstones(set), leading: false })
    }

    /// Whether this is the one, from now on as long as the connection lives.
    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        if !self.leading {
            self.leading =
                self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&JANITOR_LOCK]).await?.try_get(0)?;
        }
        Ok(self.leading)
    }

    pub(crate) async fn patience(&self) -> Result<Patience, SourceError> {
        let sql = format!(
            "SELECT (extract(epoch FROM {}) * 1000)::bigint, (extract(epoch FROM value) * 1000)::bigint FROM lockstep.setting WHERE name = 'tombstone_retention'",
            erase::erasure_wait()
        );
        let row = self.client.query_one(&sql, &[]).await?;
        Ok(Patience { wait: limit(&row, 0)?, retention: limit(&row, 1)? })
    }

    /// Writes down which tenancies are gone: their wait begins. Not when they say they went: a transaction may commit long
    /// after that, and until then they are read. Returns how many are new.
    pub(crate) async fn notice(&self) -> Result<u64, SourceError> {
        let sql = format!(
            "INSERT INTO lockstep.erasure (tenancy_id, destination, reason, up_to)
SELECT g.tenancy_id, $1, 'automatic', h.last_sequence FROM lockstep.sequence_head h CROSS JOIN (
  SELECT DISTINCT l.tenancy_id FROM lockstep.tenancy_location l WHERE l.gone_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = l.tenancy_id)
    AND NOT EXISTS (SELECT 1 FROM lockstep.erasure e WHERE e.tenancy_id = l.tenancy_id AND e.destination = $1 AND e.finished_at IS NULL)
  LIMIT $2) g
ON CONFLICT (tenancy_id, destination) WHERE finished_at IS NULL DO NOTHING",
            table(&tenancy_table())
        );
        Ok(self.client.execute(&sql, &[&DESTINATION, &NOTICED_AT_ONCE]).await?)
    }

    /// Drops erasures of tenancies that are back, or are shipped again.
    pub(crate) async fn forget_returned(&self) -> Result<(), SourceError> {
        let fuses: bool =
            self.client.query_one("SELECT to_regclass('lockstep.fuse') IS NOT NULL", &[]).await?.try_get(0)?;
        let stopped = if fuses {
            "e.stopped AND EXISTS (SELECT 1 FROM lockstep.fuse f WHERE f.kind = 'tenant' AND f.name = e.tenancy_id::text)"
        } else {
            "FALSE"
        };
        let sql = format!(
            "DELETE FROM lockstep.erasure e WHERE e.destination = $1 AND e.finished_at IS NULL AND NOT ({stopped}) AND EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = e.tenancy_id) RETURNING e.tenancy_id",
            table(&tenancy_table())
        );
        for row in self.client.query(&sql, &[&DESTINATION]).await? {
            let tenancy: Uuid = row.try_get(0)?;
            tracing::info!(%tenancy, "a tenancy that was to be erased is back: it stays");
        }
        Ok(())
    }

    /// Erasures whose wait is over, at most `limit`.
    pub(crate) async fn due(&self, limit: u32) -> Result<Vec<Due>, SourceError> {
        let sql = format!(
            "SELECT e.id, e.tenancy_id, e.stopped, e.up_to FROM lockstep.erasure e WHERE e.destination = $1 AND e.finished_at IS NULL AND e.requested_at + {} < clock_timestamp() ORDER BY e.requested_at, e.id LIMIT $2",
            erase::erasure_wait()
        );
        erasures(&self.client.query(&sql, &[&DESTINATION, &i64::from(limit)]).await?)
    }

    /// Erasures of tenancies that are gone whose rows are still shown, at most `limit`.
    pub(crate) async fn shown(&self, limit: u32) -> Result<Vec<Due>, SourceError> {
        let sql = format!(
            "SELECT e.id, e.tenancy_id, e.stopped, e.up_to FROM lockstep.erasure e
WHERE e.destination = $1 AND e.finished_at IS NULL AND e.hidden_at IS NULL AND NOT e.stopped
  AND NOT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = e.tenancy_id)
ORDER BY e.requested_at, e.id LIMIT $2",
            table(&tenancy_table())
        );
        erasures(&self.client.query(&sql, &[&DESTINATION, &i64::from(limit)]).await?)
    }

    /// Writes down that they are shown no more.
    pub(crate) async fn hidden(&self, gone: &[Due]) -> Result<(), SourceError> {
        let ids: Vec<i64> = gone.iter().map(|gone| gone.id).collect();
        let sql = "UPDATE lockstep.erasure SET hidden_at = clock_timestamp() WHERE id = ANY ($1)";
        self.client.execute(sql, &[&ids]).await?;
        Ok(())
    }

    /// Where these tenancies are and were. A place where another was before counts as shared too: its tombstones are there.
    pub(crate) async fn places(&self, tenancies: &[TenancyId]) -> Result<Vec<Place>, SourceError> {
        let sql = format!(
            "SELECT l.tenancy_id, l.project_id, l.branch_id, EXISTS (
  SELECT 1 FROM {t} t WHERE t.\"projectId\" = l.project_id AND t.\"branchId\" = l.branch_id AND t.\"id\" <> ALL ($1)
  UNION ALL SELECT 1 FROM lockstep.tenancy_location o JOIN {t} t ON t.\"id\" = o.tenancy_id
    WHERE o.project_id = l.project_id AND o.branch_id = l.branch_id AND o.tenancy_id <> ALL ($1))
FROM lockstep.tenancy_location l WHERE l.tenancy_id = ANY ($1) ORDER BY 1, 2, 3",
            t = table(&tenancy_table())
        );
        let rows = self.client.query(&sql, &[&uuids(tenancies)]).await?;
        rows.iter()
            .map(|row| {
                Ok(Place {
                    tenancy: TenancyId::new(row.try_get(0)?),
                    location: Location { project_id: row.try_get(1)?, branch_id: row.try_get(2)? },
                    is_shared: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Those of the keys that no tenancy but those of `gone` has in the source.
    pub(crate) async fn dead(
        &self,
        mapping: &Mapping,
        found: Vec<(Key, u64)>,
        gone: &[TenancyId],
    ) -> Result<Vec<(Key, u64)>, SourceError> {
        if found.is_empty() {
            return Ok(found);
        }
        // Postgres holds no NUL: a key with one is in no row of the source.
        let is_text = |key: &Key| !key.values.iter().any(|value| value.contains('\0'));
        let keys: Vec<Key> = found.iter().map(|(key, _)| key).filter(|key| is_text(key)).cloned().collect();
        let mut dead = HashSet::new();
        for row in self.client.query(&erase::dead_keys(mapping, &keys, gone), &[]).await? {
            let values: Result<Vec<String>, _> = (0..row.len()).map(|column| row.try_get(column)).collect();
            dead.insert(values?);
        }
        Ok(found.into_iter().filter(|(key, _)| !is_text(key) || dead.contains(&key.values)).collect())
    }

    /// Writes into the receipt how many rows of a kind there are to be removed.
    pub(crate) async fn count_removed(
        &self,
        due: &[Due],
        tenancy: TenancyId,
        kind: &str,
        rows: u64,
    ) -> Result<(), SourceError> {
        self.write_removed(COUNT_REMOVED, due, tenancy, kind, rows).await
    }

    /// Writes into the receipt that so many more were removed.
    pub(crate) async fn add_removed(
        &self,
        due: &[Due],
        tenancy: TenancyId,
        kind: &str,
        rows: u64,
    ) -> Result<(), SourceError> {
        self.write_removed(ADD_REMOVED, due, tenancy, kind, rows).await
    }

    async fn write_removed(
        &self,
        sql: &str,
        due: &[Due],
        tenancy: TenancyId,
        kind: &str,
        rows: u64,
    ) -> Result<(), SourceError> {
        let Some(of) = due.iter().find(|of| of.tenancy == tenancy).filter(|_| rows > 0) else { return Ok(()) };
        self.client.execute(sql, &[&of.id, &kind, &i64::try_from(rows).unwrap_or(i64::MAX)]).await?;
        Ok(())
    }

    /// Writes down that nothing of these is left in the destination.
    pub(crate) async fn proven(&self, due: &[Due]) -> Result<(), SourceError> {
        let ids: Vec<i64> = due.iter().map(|due| due.id).collect();
        let sql = "UPDATE lockstep.erasure SET proven_at = clock_timestamp() WHERE id = ANY ($1)";
        self.client.execute(sql, &[&ids]).await?;
        Ok(())
    }

    /// Removes what the quarantine holds of it.
    pub(crate) async fn delete_quarantine(&self, due: &Due) -> Result<u64, SourceError> {
        let exists: bool =
            self.client.query_one("SELECT to_regclass('lockstep.quarantine') IS NOT NULL", &[]).await?.try_get(0)?;
        if !exists {
            return Ok(0);
        }
        let sql = "DELETE FROM lockstep.quarantine WHERE destination = $1 AND tenancy_id = $2 AND sequence <= $3";
        Ok(self.client.execute(sql, &[&DESTINATION, &due.tenancy.as_uuid(), &due.up_to.get()]).await?)
    }

    /// Deletes at most `limit` of its tombstones, if it is gone.
    pub(crate) async fn delete_tombstones(&self, tenancy: TenancyId, limit: u32) -> Result<u64, SourceError> {
        Ok(self.client.execute(&self.delete_tombstones, &[&tenancy.as_uuid(), &i64::from(limit)]).await?)
    }

    /// Ends an erasure. A tenancy that is gone is forgotten; one that was stopped by hand will come whole when it goes on:
    /// all its rows are stamped anew. False: it came back meanwhile.
    ///
    /// One statement, one snapshot: a touch that is seen was committed before, and with it the tenancy.
    pub(crate) async fn finish(&self, due: &Due) -> Result<bool, SourceError> {
        let gone = format!("NOT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = $2)", table(&tenancy_table()));
        let sql = if due.stopped {
            format!(
                "WITH again AS (INSERT INTO lockstep.touch (target, tenancy_id) SELECT 'tenancy', $2 WHERE NOT ({gone}))
UPDATE lockstep.erasure SET finished_at = clock_timestamp() WHERE id = $1"
            )
        } else {
            format!(
                "WITH places AS (DELETE FROM lockstep.tenancy_location WHERE tenancy_id = $2 AND gone_at IS NOT NULL AND {gone}),
  touches AS (DELETE FROM lockstep.touch WHERE tenancy_id = $2 AND {gone}),
  news AS (DELETE FROM lockstep.outbox WHERE tenancy_id = $2 AND {gone})
UPDATE lockstep.erasure SET finished_at = clock_timestamp() WHERE id = $1 AND {gone}"
            )
        };
        Ok(self.client.execute(&sql, &[&due.id, &due.tenancy.as_uuid()]).await? == 1)
    }
}

fn erasures(rows: &[Row]) -> Result<Vec<Due>, SourceError> {
    rows.iter()
        .map(|row| {
            Ok(Due {
                id: row.try_get(0)?,
                tenancy: TenancyId::new(row.try_get(1)?),
                stopped: row.try_get(2)?,
                up_to: SequenceId::new(row.try_get(3)?),
            })
        })
        .collect()
}
