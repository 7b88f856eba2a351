//! What erasing asks and writes in the source: who is gone, where they were, the receipts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use lockstep_core::{Location, MappingName, SequenceId, TenancyId};
use lockstep_mappings::postgres::compare::Key;
use lockstep_mappings::postgres::{Target, erase, inbox, table, tenancy_table};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::definitions::Known;
use lockstep_schema::locks::SessionLock;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::DESTINATION;
use super::fetch::limit;
use super::tenancies::uuids;
use crate::janitor::{Due, Place, RowsOf};

/// One janitor at a time, whichever worker it is in: the bytes of `locksjan`.
const JANITOR_LOCK: i64 = i64::from_be_bytes(*b"locksjan");
/// Tenancies that are noticed in one statement. Others are noticed by the next round.
pub(crate) const NOTICED_AT_ONCE: usize = 10_000;

/// Sets the count of one kind of rows in receipts, unless it is there already: then an earlier round found more.
const COUNT_REMOVED: &str = "UPDATE lockstep.erasure e SET removed = jsonb_build_object($1::text, n.rows) || e.removed
FROM unnest($2::bigint[], $3::bigint[]) AS n(id, rows) WHERE e.id = n.id";
/// Deletes entries of the quarantine, and says so in the receipts, at once: `$1` destination, `$2` erasures, `$3` their
/// tenancies, `$4` their bounds, `$5` the name in the receipt.
const DELETE_QUARANTINE: &str = "WITH w AS (SELECT * FROM unnest($2::bigint[], $3::uuid[], $4::bigint[]) AS w(id, tenancy_id, up_to)),
deleted AS (DELETE FROM lockstep.quarantine q USING w WHERE q.destination = $1 AND q.tenancy_id = w.tenancy_id AND q.sequence <= w.up_to RETURNING w.id),
n AS (SELECT id, count(*) AS rows FROM deleted GROUP BY id)
UPDATE lockstep.erasure e SET removed = e.removed || jsonb_build_object($5::text, COALESCE((e.removed ->> $5)::bigint, 0) + n.rows)
FROM n WHERE e.id = n.id";

/// Tenancies that are gone, each with its last change of every mapping that has any.
pub(crate) type Gone = HashMap<TenancyId, Vec<(MappingName, SequenceId)>>;

/// A connection of the janitor's. While it lives and holds the lock, no other worker's janitor does anything.
pub(crate) struct JanitorSession {
    pub(super) client: Client,
    lock: SessionLock,
    known: Known,
}

impl JanitorSession {
    pub(crate) async fn open(source: &Source, set: &MappingSet) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute("SET statement_timeout = '60s'").await?;
        Ok(Self { client, lock: SessionLock::new(JANITOR_LOCK), known: Known::new(set.iter()) })
    }

    /// Tries to become the one janitor, and returns whether this is it: from then on as long as the connection lives. One that
    /// does not know the mappings as they are set up leaves it to others.
    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        if self.known.are_set_up(&self.client).await? {
            return self.lock.try_take(&self.client).await;
        }
        self.lock.give_up(&self.client).await?;
        Ok(false)
    }

    /// Whether a table is being built beside another: both hold rows.
    pub(crate) async fn is_one_built_beside(&self) -> Result<bool, SourceError> {
        const BESIDE: &str = "SELECT EXISTS (SELECT 1 FROM lockstep.fill WHERE destination = $1 AND (is_beside OR keep_replaced IS NOT NULL AND finished_at IS NULL))";
        Ok(self.client.query_one(BESIDE, &[&DESTINATION]).await?.try_get(0)?)
    }

    /// How long the janitor waits for what was read before to be written, or never.
    pub(crate) async fn late_write_wait(&self) -> Result<Duration, SourceError> {
        let sql = format!("SELECT (extract(epoch FROM {}) * 1000)::bigint", erase::erasure_wait());
        limit(&self.client.query_one(&sql, &[]).await?, 0)
    }

    /// The last number that was given out.
    pub(crate) async fn head(&self) -> Result<SequenceId, SourceError> {
        let head = format!("SELECT {}", inbox::HEAD);
        Ok(SequenceId::new(self.client.query_one(&head, &[]).await?.try_get(0)?))
    }

    /// Tenancies that are gone, whose rows were all looked for, and of which nothing is noted yet: each with its last change
    /// of every mapping that has any.
    pub(crate) async fn gone(&self, targets: &HashMap<i32, &MappingName>) -> Result<Gone, SourceError> {
        let sql = format!(
            "WITH waiting AS MATERIALIZED (SELECT e.tenancy_id FROM lockstep.expansion e UNION SELECT u.tenancy_id FROM ({unseen}) u)
SELECT g.tenancy_id, c.mapping, c.last FROM (
  SELECT DISTINCT l.tenancy_id FROM lockstep.tenancy_location l WHERE l.gone_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM {tenancies} t WHERE t.\"id\" = l.tenancy_id)
    AND l.tenancy_id NOT IN (SELECT w.tenancy_id FROM waiting w WHERE w.tenancy_id IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM lockstep.erasure e WHERE e.tenancy_id = l.tenancy_id AND e.destination = $1 AND e.finished_at IS NULL)
  LIMIT $2) g
LEFT JOIN LATERAL (SELECT c.mapping, max(c.sequence) AS last FROM lockstep.change c WHERE c.tenancy_id = g.tenancy_id GROUP BY c.mapping) c ON TRUE",
            tenancies = table(&tenancy_table()),
            unseen = inbox::unseen(),
        );
        let mut gone = Gone::new();
        for row in self.client.query(&sql, &[&DESTINATION, &(NOTICED_AT_ONCE as i64)]).await? {
            let last = gone.entry(TenancyId::new(row.try_get(0)?)).or_default();
            // A mapping that this worker does not know is nothing it ships.
            if let Some(name) = row.try_get::<_, Option<i32>>(1)?.and_then(|target| targets.get(&target)) {
                last.push(((*name).clone(), SequenceId::new(row.try_get(2)?)));
            }
        }
        Ok(gone)
    }

    /// Writes down that these tenancies are gone and hidden: their wait begins, and nothing of theirs is shipped any more.
    ///
    /// Not of those that have changes above `head`, which was read before their last changes were: they came back and went again.
    pub(crate) async fn notice(&self, tenancies: &[TenancyId], head: SequenceId) -> Result<(), SourceError> {
        let sql = format!(
            "INSERT INTO lockstep.erasure (tenancy_id, destination, reason, up_to, hidden_at)
SELECT g.id, $1, 'automatic', {head}, clock_timestamp()
FROM unnest($2::uuid[]) AS g(id) WHERE NOT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = g.id)
  AND NOT EXISTS (SELECT 1 FROM lockstep.change c WHERE c.tenancy_id = g.id AND c.sequence > $3)
ON CONFLICT (tenancy_id, destination) WHERE finished_at IS NULL DO NOTHING",
            table(&tenancy_table()),
            head = inbox::HEAD
        );
        self.client.execute(&sql, &[&DESTINATION, &uuids(tenancies), &head.get()]).await?;
        Ok(())
    }

    /// Drops erasures of tenancies that are back and are shipped again: those that were paused while the pass noted them.
    pub(crate) async fn forget_returned(&self) -> Result<(), SourceError> {
        let paused = erase::stands_paused("e");
        let sql = format!(
            "DELETE FROM lockstep.erasure e WHERE e.destination = $1 AND e.finished_at IS NULL AND NOT ({paused}) AND EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = e.tenancy_id) RETURNING e.tenancy_id",
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
            "SELECT e.id, e.tenancy_id, e.paused, e.up_to FROM lockstep.erasure e WHERE e.destination = $1 AND e.finished_at IS NULL AND e.requested_at + {} < clock_timestamp() ORDER BY e.requested_at, e.id LIMIT $2",
            erase::erasure_wait()
        );
        erasures(&self.client.query(&sql, &[&DESTINATION, &i64::from(limit)]).await?)
    }

    /// Where these tenancies are and were. A place where another was before counts as shared too: its tombstones are there.
    pub(crate) async fn places(&self, tenancies: &[TenancyId]) -> Result<Vec<Place>, SourceError> {
        let sql = format!(
            "WITH erased AS MATERIALIZED (SELECT tenancy_id FROM unnest($1::uuid[]) AS w(tenancy_id)),
here AS MATERIALIZED (SELECT l.tenancy_id, l.project_id, l.branch_id FROM erased JOIN lockstep.tenancy_location l USING (tenancy_id)),
stay AS (
  SELECT l.project_id, l.branch_id, t.\"id\" FROM here l JOIN {t} t ON t.\"projectId\" = l.project_id AND t.\"branchId\" = l.branch_id
  UNION SELECT l.project_id, l.branch_id, o.tenancy_id FROM here l JOIN lockstep.tenancy_location o USING (project_id, branch_id)
    JOIN {t} t ON t.\"id\" = o.tenancy_id),
shared AS (SELECT DISTINCT s.project_id, s.branch_id FROM stay s LEFT JOIN erased e ON e.tenancy_id = s.\"id\" WHERE e.tenancy_id IS NULL)
SELECT l.tenancy_id, l.project_id, l.branch_id, s.project_id IS NOT NULL
FROM here l LEFT JOIN shared s USING (project_id, branch_id) ORDER BY 1, 2, 3",
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

    /// Those of these keys that no tenancy has in the source, not counting the tenancies that are `paused` and to be erased.
    pub(crate) async fn dead(
        &self,
        mapping: &Mapping,
        found: Vec<(Key, u64)>,
        paused: &[TenancyId],
    ) -> Result<Vec<(Key, u64)>, SourceError> {
        if found.is_empty() {
            return Ok(found);
        }
        // Postgres holds no NUL: a key with one is in no row of the source.
        let is_text = |key: &Key| !key.values.iter().any(|value| value.contains('\0'));
        let keys: Vec<Key> = found.iter().map(|(key, _)| key).filter(|key| is_text(key)).cloned().collect();
        let mut dead = HashSet::new();
        for row in self.client.query(&erase::dead_keys(mapping, &keys, paused), &[]).await? {
            let values: Result<Vec<String>, _> = (0..row.len()).map(|column| row.try_get(column)).collect();
            dead.insert(values?);
        }
        Ok(found.into_iter().filter(|(key, _)| !is_text(key) || dead.contains(&key.values)).collect())
    }

    /// Writes into receipts how many rows of a kind there are to be removed.
    pub(crate) async fn count_removed(&self, due: &[Due], kind: &str, rows_of: &RowsOf) -> Result<(), SourceError> {
        let counted =
            due.iter().filter_map(|due| Some((due.id, *rows_of.get(&due.tenancy).filter(|rows| **rows > 0)?)));
        let (ids, rows): (Vec<i64>, Vec<i64>) =
            counted.map(|(id, rows)| (id, i64::try_from(rows).unwrap_or(i64::MAX))).unzip();
        if !ids.is_empty() {
            self.client.execute(COUNT_REMOVED, &[&kind, &ids, &rows]).await?;
        }
        Ok(())
    }

    /// How long ago the first tenancy that is not erased yet was seen to be gone, or was paused to be erased. One that is only
    /// paused does not count: nothing of it is shipped, and nothing of it is hidden.
    pub(crate) async fn oldest_erasure(&self) -> Result<Option<Duration>, SourceError> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp() - min(x.since)) * 1000)::bigint FROM (
  SELECT min(l.gone_at) AS since FROM lockstep.tenancy_location l WHERE l.gone_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM lockstep.pause f WHERE f.kind = 'tenancy' AND f.name = l.tenancy_id::text)
  UNION ALL SELECT min(e.requested_at) FROM lockstep.erasure e WHERE e.destination = $1 AND e.finished_at IS NULL) x";
        let row = self.client.query_one(sql, &[&DESTINATION]).await?;
        match row.try_get::<_, Option<i64>>(0)? {
            Some(_) => Ok(Some(limit(&row, 0)?)),
            None => Ok(None),
        }
    }

    /// Writes down that nothing of these is left in the destination.
    pub(crate) async fn proven(&self, due: &[Due]) -> Result<(), SourceError> {
        let ids: Vec<i64> = due.iter().map(|due| due.id).collect();
        let sql = "UPDATE lockstep.erasure SET proven_at = clock_timestamp() WHERE id = ANY ($1)";
        self.client.execute(sql, &[&ids]).await?;
        Ok(())
    }

    /// Removes what the quarantine holds of them, and says so in their receipts.
    pub(crate) async fn delete_quarantine(&self, due: &[Due], kind: &str) -> Result<(), SourceError> {
        let (ids, tenancies, up_to) = columns(due);
        self.client.execute(DELETE_QUARANTINE, &[&DESTINATION, &ids, &tenancies, &up_to, &kind]).await?;
        Ok(())
    }

    /// Ends erasures; returns how many. Tenancies that are gone are forgotten, except those that came back meanwhile, gone again or not: a pass
    /// has dropped their erasure. Those that
    /// were paused by hand are shipped whole when they are resumed: all their rows are searched.
    pub(crate) async fn finish(&self, due: &[Due]) -> Result<u64, SourceError> {
        let (paused, gone): (Vec<Due>, Vec<Due>) = due.iter().cloned().partition(|due| due.paused);
        let tenancy = table(&tenancy_table());
        let again = format!(
            "WITH again AS (INSERT INTO lockstep.expansion (target, tenancy_id, project_id, branch_id)
    SELECT {all}, t.\"id\", t.\"projectId\", t.\"branchId\" FROM {tenancy} t WHERE t.\"id\" = ANY($2))
UPDATE lockstep.erasure SET finished_at = clock_timestamp() WHERE id = ANY($1)",
            all = Target::tenancy().id(),
        );
        let forget = format!(
            "WITH gone AS MATERIALIZED (SELECT e.id, e.tenancy_id FROM unnest($1::bigint[], $2::uuid[]) AS w(id, tenancy_id)
    JOIN lockstep.erasure e ON e.id = w.id AND e.finished_at IS NULL
    WHERE NOT EXISTS (SELECT 1 FROM {tenancy} t WHERE t.\"id\" = w.tenancy_id) FOR UPDATE OF e),
places AS (DELETE FROM lockstep.tenancy_location l USING gone g WHERE l.tenancy_id = g.tenancy_id AND l.gone_at IS NOT NULL)
UPDATE lockstep.erasure e SET finished_at = clock_timestamp() FROM gone g WHERE e.id = g.id"
        );
        let mut finished = 0;
        for (sql, some) in [(again, paused), (forget, gone)] {
            let (ids, tenancies, _) = columns(&some);
            if !ids.is_empty() {
                finished += self.client.execute(&sql, &[&ids, &tenancies]).await?;
            }
        }
        Ok(finished)
    }
}

/// Ids, tenancies and bounds.
fn columns(due: &[Due]) -> (Vec<i64>, Vec<Uuid>, Vec<i64>) {
    let ids = due.iter().map(|due| due.id).collect();
    (ids, due.iter().map(|due| due.tenancy.as_uuid()).collect(), due.iter().map(|due| due.up_to.get()).collect())
}

fn erasures(rows: &[Row]) -> Result<Vec<Due>, SourceError> {
    rows.iter()
        .map(|row| {
            Ok(Due {
                id: row.try_get(0)?,
                tenancy: TenancyId::new(row.try_get(1)?),
                paused: row.try_get(2)?,
                up_to: SequenceId::new(row.try_get(3)?),
            })
        })
        .collect()
}
