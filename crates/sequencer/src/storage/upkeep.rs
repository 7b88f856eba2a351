//! Keeping Lockstep's own tables small.

mod changes;
mod told;

use lockstep_mappings::postgres::inbox::{self, HEAD, INBOXES, TURN_TRANSACTIONS, inbox_of};
use lockstep_schema::{Session, Source, SourceError, SqlStateKind};
use tokio_postgres::Client;

use crate::plan::intake::Unfinished;
use crate::plan::seen::Seen;

/// Blocks of one entry of the indexes on transactions and numbers: `pages_per_range` of their definitions.
const RANGE_BLOCKS: i64 = 32;
/// An inbox is truncated only while it is for so many transactions not its turn: none of them waits for that.
const SPARE_TRANSACTIONS: i64 = TURN_TRANSACTIONS / 4;

/// The connection for upkeep.
pub(crate) struct UpkeepSession {
    client: Client,
    /// How much of each inbox its index covers already, in blocks.
    covered: [i64; 2],
    /// The same of the newest partition of changes, with its name.
    covered_changes: (String, i64),
}

impl UpkeepSession {
    pub(crate) async fn open(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Control).await?;
        client.batch_execute("SET synchronous_commit = off; SET lock_timeout = '1s'").await?;
        Ok(Self { client, covered: [0; 2], covered_changes: (String::new(), 0) })
    }

    /// How many changes are not announced yet, about: numbers between the two positions.
    pub(crate) async fn unannounced(&self) -> Result<i64, SourceError> {
        let depth = format!("SELECT {HEAD} - (SELECT max(sequence) FROM lockstep.announced)");
        Ok(self.client.query_one(&depth, &[]).await?.try_get(0)?)
    }

    /// Lets the indexes of the inboxes and of the newest changes cover the ranges that are full: the others are read whole
    /// by every look. A range that is not full stays uncovered, so that lines which are added to it touch no index.
    pub(crate) async fn cover(&mut self) -> Result<(), SourceError> {
        for (index, inbox) in INBOXES.iter().enumerate() {
            let (table, of) = (format!("lockstep.{inbox}"), format!("lockstep.{inbox}_xid_idx"));
            self.covered[index] = self.cover_one(&table, &of, self.covered[index]).await?;
        }
        let newest = format!(
            "SELECT 'lockstep.change_' || p.first_sequence, i.indexrelid::regclass::text
FROM lockstep.change_partition p, pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = ('lockstep.change_' || p.first_sequence)::regclass AND a.amname = 'brin'
  AND p.first_sequence <= {HEAD} ORDER BY p.first_sequence DESC LIMIT 1"
        );
        if let Some(row) = self.client.query_opt(&newest, &[]).await? {
            let (table, of): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let before = if self.covered_changes.0 == table { self.covered_changes.1 } else { 0 };
            self.covered_changes = (table.clone(), self.cover_one(&table, &of, before).await?);
        }
        Ok(())
    }

    async fn cover_one(&self, table: &str, index: &str, before: i64) -> Result<i64, SourceError> {
        const BLOCKS: &str = "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint";
        let blocks: i64 = self.client.query_one(BLOCKS, &[&table]).await?.try_get(0)?;
        let full = blocks - blocks % RANGE_BLOCKS;
        let from = if before > full { 0 } else { before };
        if from < full {
            const COVER: &str = "SELECT brin_summarize_range($1::text::regclass, b) FROM generate_series($2::bigint, $3::bigint - 1, $4::bigint) b";
            self.client.query(COVER, &[&index, &from, &full, &RANGE_BLOCKS]).await?;
        }
        Ok(full)
    }

    /// Empties the inbox whose turn is over, if all of it has numbers. Nobody can wait for that: every transaction of its
    /// turn has ended, and the next turn is far. Returns whether it did.
    pub(crate) async fn truncate(&self) -> Result<bool, SourceError> {
        const NOW: &str = "SELECT pg_current_snapshot()::text";
        let text: String = self.client.query_one(NOW, &[]).await?.try_get(0)?;
        let now: Seen = text.parse().map_err(SourceError::Unexpected)?;
        let (oldest, newest) = (now.oldest_running(), now.xmax);
        let is_one_turn = oldest / TURN_TRANSACTIONS == (newest + SPARE_TRANSACTIONS) / TURN_TRANSACTIONS;
        let over = 1 - inbox_of(newest);
        let size = format!("SELECT pg_relation_size('lockstep.{}') > 0", INBOXES[over]);
        if !is_one_turn || !self.client.query_one(&size, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(false);
        }
        self.client.batch_execute("BEGIN").await?;
        let emptied = self.truncate_in_transaction(over).await;
        // What could not be locked at once is in use by a reader: another time.
        self.client.batch_execute(if matches!(emptied, Ok(true)) { "COMMIT" } else { "ROLLBACK" }).await?;
        match emptied {
            Err(error) if error.kind() == Some(SqlStateKind::Conflict) => Ok(false),
            other => other,
        }
    }

    async fn truncate_in_transaction(&self, over: usize) -> Result<bool, SourceError> {
        let table = format!("lockstep.{}", INBOXES[over]);
        self.client.batch_execute(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT")).await?;
        const PASS: &str = "SELECT consumed::text, unfinished FROM lockstep.pass ORDER BY id DESC LIMIT 1";
        let row = self.client.query_one(PASS, &[]).await?;
        let consumed: Seen = row.try_get::<_, String>(0)?.parse().map_err(SourceError::Unexpected)?;
        let unfinished: Vec<Unfinished> =
            serde_json::from_value(row.try_get(1)?).map_err(|error| SourceError::Unexpected(error.to_string()))?;
        let unseen = self.client.query_one(&inbox::has_unseen(over), &[&consumed.xmax, &consumed.running]).await?;
        if unseen.try_get(0)? || unfinished.iter().any(|one| one.inbox == over) {
            return Ok(false);
        }
        // The index of an empty table covers its first range: lines would widen that one by one.
        let empty = format!("TRUNCATE {table}; SELECT brin_desummarize_range('{table}_xid_idx', 0)");
        self.client.batch_execute(&empty).await?;
        Ok(true)
    }

    /// Forgets what nobody asks for: fences after an hour, announcements but the last, and of passes older than an hour all
    /// but the last of each minute; after 30 days all. Of who changed what, entries older than 400 days, and those beyond 100,000.
    pub(crate) async fn prune(&self) -> Result<(), SourceError> {
        const PRUNE: &str = "
DELETE FROM lockstep.fence f WHERE requested_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1 FROM lockstep.fill l WHERE l.fence_id = f.id);
DELETE FROM lockstep.action WHERE at < now() - interval '400 days' OR id <= (SELECT id FROM lockstep.action ORDER BY id DESC OFFSET 100000 LIMIT 1);
DELETE FROM lockstep.announced WHERE sequence < (SELECT max(sequence) FROM lockstep.announced);
DELETE FROM lockstep.pass p WHERE passed_at < now() - interval '1 hour' AND id < (SELECT max(id) FROM lockstep.pass)
  AND (passed_at < now() - interval '30 days'
    OR EXISTS (SELECT 1 FROM lockstep.pass n WHERE n.id = p.id + 1 AND date_trunc('minute', n.passed_at) = date_trunc('minute', p.passed_at)))";
        Ok(self.client.batch_execute(PRUNE).await?)
    }
}

#[cfg(test)]
mod tests;
