//! Ranges of fills: claiming them for a while, reading one, writing down that it is done.

use std::time::Duration;

use lockstep_core::{MappingName, SequenceId};
use lockstep_destinations::{Moment, WriteWindow};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::fill::BlockRange;
use lockstep_mappings::postgres::{Target, expand, inbox, literal, table};
use lockstep_schema::SourceError;
use lockstep_schema::fills::begin_ranges_again;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::DESTINATION;
use super::fetch::{LATE_WRITE_LIMIT_MS, limit};
use crate::mappings::Mappings;

/// How long a claim is good: so long a fill stands still where its worker was killed.
pub(crate) const CLAIM_FOR: Duration = Duration::from_secs(30);
/// How often a claim is renewed: some renewals that fail are no harm.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(7);

/// The next range that nobody works on, of the mappings `$2 text[]` that are set up as `$5 text[]`, for the worker `$3`, `$4`
/// seconds.
const CLAIM: &str = "
UPDATE lockstep.fill_range r SET claimed_by = $3, claimed_until = now() + make_interval(secs => $4)
FROM (SELECT c.mapping_name, c.first_block, s.source_filenode, s.floor, s.is_beside
      FROM lockstep.fill_range c JOIN lockstep.fill s USING (mapping_name, destination)
        JOIN lockstep.definition d USING (mapping_name)
        JOIN unnest($2::text[], $5::text[]) AS w(mapping_name, exported) USING (mapping_name, exported)
      WHERE c.destination = $1 AND c.finished_at IS NULL
        AND (c.claimed_until IS NULL OR c.claimed_until < now())
      ORDER BY c.mapping_name, c.first_block LIMIT 1 FOR UPDATE OF c SKIP LOCKED) n
WHERE r.destination = $1 AND r.mapping_name = n.mapping_name AND r.first_block = n.first_block
RETURNING r.mapping_name, r.first_block, r.end_block, n.source_filenode, n.floor, n.is_beside";

/// Prolongs the claim of worker `$4`, or lets it end `$5` seconds from now.
const PROLONG: &str = "
UPDATE lockstep.fill_range SET claimed_until = now() + make_interval(secs => $5)
WHERE destination = $1 AND mapping_name = $2 AND first_block = $3 AND claimed_by = $4 AND finished_at IS NULL";

/// The range is in the destination, `$5` rows. Only where it is still the worker's own: a fill that was begun again
/// meanwhile has other ranges.
const FINISH: &str = "
UPDATE lockstep.fill_range SET finished_at = now(), shipped_rows = $5
WHERE destination = $1 AND mapping_name = $2 AND first_block = $3 AND claimed_by = $4 AND finished_at IS NULL";

/// Fills of which all ranges are shipped: has the rows that were written meanwhile exported once more, and asks for a number
/// that covers them. A statement of its own after [`FINISH`]: of two workers that finish the last two ranges at the same
/// time, the later one sees both. `$2 text[]` are all mappings, `$3 int[]` the targets of all their rows, and `$4 text[]` what
/// they have to be set up as.
const CATCH_UP: &str = "
WITH whole AS (
  SELECT s.mapping_name, s.destination, s.since FROM lockstep.fill s
    JOIN lockstep.definition d USING (mapping_name)
    JOIN unnest($2::text[], $4::text[]) AS k(mapping_name, exported) USING (mapping_name, exported)
  WHERE s.destination = $1 AND s.finished_at IS NULL AND s.fence_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM lockstep.fill_range r
    WHERE r.destination = s.destination AND r.mapping_name = s.mapping_name AND r.finished_at IS NULL)
  FOR UPDATE OF s SKIP LOCKED),
rest AS (INSERT INTO lockstep.expansion (target, since) SELECT t.target, w.since
  FROM whole w JOIN unnest($2::text[], $3::int[]) AS t(mapping_name, target) USING (mapping_name)),
fence AS (INSERT INTO lockstep.fence (sequence) SELECT NULL FROM (SELECT 1 FROM whole LIMIT 1) w RETURNING id)
UPDATE lockstep.fill f SET fence_id = fence.id FROM whole w, fence
WHERE f.mapping_name = w.mapping_name AND f.destination = w.destination
RETURNING f.mapping_name";

/// Cuts the range in two at the block `$5`, and lets both go; the second ends at `$6`.
const SPLIT: &str = "
WITH cut AS (
  UPDATE lockstep.fill_range SET end_block = $5, claimed_by = NULL, claimed_until = NULL
  WHERE destination = $1 AND mapping_name = $2 AND first_block = $3 AND claimed_by = $4 AND finished_at IS NULL
  RETURNING mapping_name, destination)
INSERT INTO lockstep.fill_range (mapping_name, destination, first_block, end_block)
SELECT mapping_name, destination, $5, $6 FROM cut";

/// Whether there is still the fill of the mapping `$2` with the number `$3`, into the table beside or not, of a mapping set up as `$5`.
const IS_CURRENT: &str = "EXISTS (SELECT 1 FROM lockstep.fill f JOIN lockstep.definition d USING (mapping_name)
  WHERE f.destination = $1 AND f.mapping_name = $2 AND f.floor = $3 AND f.is_beside = $4 AND d.exported = $5)";

/// A range that this worker has claimed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) mapping: MappingName,
    pub(crate) blocks: BlockRange,
    /// The file in which those blocks were counted.
    pub(crate) filenode: u32,
    /// The version of the rows.
    pub(crate) floor: SequenceId,
    /// They go into the table beside.
    pub(crate) is_beside: bool,
}

/// Lockstep's own tables of fills, as one worker uses them.
pub(crate) struct Fills {
    client: Client,
    worker: String,
    /// Each with what it has to be set up as.
    mappings: Vec<(MappingName, String)>,
}

impl Fills {
    /// For a worker of this name, which ships these mappings.
    pub(crate) fn new(client: Client, worker: &str, mappings: &Mappings) -> Self {
        let known = |mapping: &Mapping| (mapping.name.clone(), mapping.export_fingerprint());
        Self { client, worker: worker.to_owned(), mappings: mappings.iter().map(known).collect() }
    }

    fn named(&self, of: impl Fn(&MappingName) -> bool) -> (Vec<&str>, Vec<&str>) {
        let of_these = self.mappings.iter().filter(|(mapping, _)| of(mapping));
        of_these.map(|(mapping, exported)| (mapping.as_str(), exported.as_str())).unzip()
    }

    /// For lookups between statements.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Claims a range of one of the mappings that `may_go`, if there is one.
    pub(crate) async fn claim(&self, may_go: impl Fn(&MappingName) -> bool) -> Result<Option<Claim>, SourceError> {
        let (names, exported) = self.named(may_go);
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&DESTINATION, &names, &self.worker, &CLAIM_FOR.as_secs_f64(), &exported];
        let row = self.client.query_opt(CLAIM, &parameters).await?;
        let Some(row) = row else { return Ok(None) };
        let block = |index| -> Result<u32, SourceError> {
            let block: i64 = row.try_get(index)?;
            // PostgreSQL numbers blocks with 32 bits; the end of the last range may lie beyond.
            Ok(u32::try_from(block).unwrap_or(u32::MAX))
        };
        let name: String = row.try_get(0)?;
        let Ok(mapping) = name.parse() else { return Ok(None) };
        Ok(Some(Claim {
            mapping,
            blocks: BlockRange { first: block(1)?, end: block(2)? },
            filenode: row.try_get(3)?,
            floor: SequenceId::new(row.try_get(4)?),
            is_beside: row.try_get(5)?,
        }))
    }

    /// Prolongs a claim, or lets it end sooner, so that others come first. Returns `false` where it is not ours any more.
    pub(crate) async fn prolong(&self, claim: &Claim, by: Duration) -> Result<bool, SourceError> {
        let (name, first) = (claim.mapping.as_str(), i64::from(claim.blocks.first));
        let seconds = by.as_secs_f64();
        let updated = self.client.execute(PROLONG, &[&DESTINATION, &name, &first, &self.worker, &seconds]).await?;
        Ok(updated == 1)
    }

    /// Writes down that a range is in the destination. False: it is not ours any more.
    pub(crate) async fn finish(&self, claim: &Claim, rows: u64) -> Result<bool, SourceError> {
        let (name, first) = (claim.mapping.as_str(), i64::from(claim.blocks.first));
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let updated = self.client.execute(FINISH, &[&DESTINATION, &name, &first, &self.worker, &rows]).await?;
        Ok(updated == 1)
    }

    /// Cuts a range in halves for whoever comes next. False: it is not ours any more.
    pub(crate) async fn split(&self, claim: &Claim) -> Result<bool, SourceError> {
        let (name, BlockRange { first, end }) = (claim.mapping.as_str(), claim.blocks);
        let middle = i64::from(first + (end - first) / 2);
        let (first, end) = (i64::from(first), i64::from(end));
        let split = self.client.execute(SPLIT, &[&DESTINATION, &name, &first, &self.worker, &middle, &end]).await?;
        Ok(split == 1)
    }

    /// Has the stream ship the rows of a range, one by one, and ends it, in one transaction. Returns how many rows; none where
    /// it is not ours any more, or counts the blocks of another file.
    pub(crate) async fn hand_over(&mut self, mapping: &Mapping, claim: &Claim) -> Result<Option<u64>, SourceError> {
        let (name, first) = (claim.mapping.as_str(), i64::from(claim.blocks.first));
        let transaction = self.client.transaction().await?;
        let source = table(&mapping.source);
        transaction.batch_execute(&format!("LOCK TABLE {source} IN ACCESS SHARE MODE")).await?;
        let file = format!("SELECT pg_relation_filenode({}::regclass)", literal(&source));
        let filenode: Option<u32> = transaction.query_one(&file, &[]).await?.try_get(0)?;
        if filenode != Some(claim.filenode) {
            return Ok(None);
        }
        let finished = transaction.execute(FINISH, &[&DESTINATION, &name, &first, &self.worker, &0_i64]).await?;
        if finished == 0 {
            return Ok(None);
        }
        let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.try_get(0)?;
        let lines = expand::block_range(mapping, inbox::inbox_of(xid), claim.blocks);
        let rows = transaction.execute(&lines, &[]).await?;
        transaction.commit().await?;
        Ok(Some(rows))
    }

    /// Has fills caught up whose ranges are all shipped; returns their mappings.
    pub(crate) async fn catch_up(&self, mappings: &Mappings) -> Result<Vec<String>, SourceError> {
        let (names, exported) = self.named(|_| true);
        let targets: Vec<i32> = mappings.iter().map(|mapping| Target::all_rows(mapping).id()).collect();
        let rows = self.client.query(CATCH_UP, &[&DESTINATION, &names, &targets, &exported]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Begins the ranges of a fill again, because the table's rows are in another file now. Whoever comes second finds it
    /// done.
    pub(crate) async fn restart(&mut self, mapping: &Mapping, filenode: u32) -> Result<bool, SourceError> {
        let transaction = self.client.transaction().await?;
        let lock = "SELECT 1 FROM lockstep.fill WHERE destination = $1 AND mapping_name = $2 AND source_filenode = $3 FOR UPDATE";
        let ours = transaction.query_opt(lock, &[&DESTINATION, &mapping.name.as_str(), &filenode]).await?;
        if ours.is_none() {
            return Ok(false);
        }
        // Size and file are read while nobody can exchange the file.
        transaction.batch_execute(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", table(&mapping.source))).await?;
        for statement in begin_ranges_again(mapping, &DESTINATION.into()) {
            transaction.batch_execute(&statement).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// What a range is read from.
pub(crate) struct Scan {
    /// The table's file.
    pub(crate) filenode: Option<u32>,
    /// The fill is still the one that the range was claimed of, and the mapping set up as it was: so what is read from this moment on
    /// may be written where it was meant to go.
    pub(crate) is_current: bool,
    /// How long what is read may be written.
    pub(crate) window: WriteWindow,
}

/// Opens the transaction in which a range is read: the table's file cannot be exchanged until its end.
///
/// The lock comes before the snapshot is taken, so the snapshot is of the locked table.
///
/// # Errors
/// When Postgres cannot be asked, or the table is locked by somebody else for longer than 10 seconds.
pub(crate) async fn open_scan(client: &Client, mapping: &Mapping, claim: &Claim) -> Result<Scan, SourceError> {
    let source = table(&mapping.source);
    let lock = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL lock_timeout = '10s'; LOCK TABLE {source} IN ACCESS SHARE MODE"
    );
    client.batch_execute(&lock).await?;
    // The snapshot is taken by the next statement.
    let read_at = Moment::now();
    let sql =
        format!("SELECT pg_relation_filenode({}::regclass), {LATE_WRITE_LIMIT_MS}, {IS_CURRENT}", literal(&source));
    let (name, exported) = (mapping.name.as_str(), mapping.export_fingerprint());
    let row = client.query_one(&sql, &[&DESTINATION, &name, &claim.floor.get(), &claim.is_beside, &exported]).await?;
    let window = WriteWindow::new(read_at, limit(&row, 1)?);
    Ok(Scan { filenode: row.try_get(0)?, is_current: row.try_get(2)?, window })
}
