//! What was asked for, written down: `lockstep.resync`.

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_mappings::postgres::{SEQUENCE, stamp};
use lockstep_schema::SourceError;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::CliError;
use crate::fusebox::DESTINATION;

/// Why it is exported again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Resync,
    Rewind,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Resync => "resync",
            Self::Rewind => "rewind",
        }
    }
}

/// What is exported again. None: all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) purpose: Purpose,
    pub(crate) tenancies: Option<Vec<TenancyId>>,
    pub(crate) mappings: Option<Vec<MappingName>>,
}

impl Request {
    fn ids(&self) -> Option<Vec<Uuid>> {
        self.tenancies.as_ref().map(|ids| ids.iter().map(TenancyId::as_uuid).collect())
    }

    fn names(&self) -> Option<Vec<&str>> {
        self.mappings.as_ref().map(|names| names.iter().map(MappingName::as_str).collect())
    }
}

/// A request that was written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    id: i64,
    /// No row has this number.
    pub(crate) floor: SequenceId,
}

/// The same request, where it was begun and not finished.
pub(crate) async fn unfinished(client: &Client, request: &Request) -> Result<Option<Run>, CliError> {
    const SAME: &str = "
SELECT id, floor FROM lockstep.resync
WHERE finished_at IS NULL AND purpose = $1 AND destination = $2
  AND tenancies IS NOT DISTINCT FROM $3::uuid[] AND mappings IS NOT DISTINCT FROM $4::text[]
ORDER BY id DESC LIMIT 1";
    let purpose = request.purpose.as_str();
    let row = client.query_opt(SAME, &[&purpose, &DESTINATION, &request.ids(), &request.names()]).await;
    Ok(row.map_err(|error| CliError::unless_migrated(error.into()))?.map(|row| run(&row)))
}

/// A rewind that was begun and not finished, and of what.
pub(crate) async fn unfinished_rewind(client: &Client) -> Result<Option<(Request, Run)>, CliError> {
    const REWIND: &str = "
SELECT id, floor, mappings FROM lockstep.resync
WHERE finished_at IS NULL AND purpose = 'rewind' AND destination = $1 ORDER BY id DESC LIMIT 1";
    let row = client.query_opt(REWIND, &[&DESTINATION]).await;
    let row = row.map_err(|error| CliError::unless_migrated(error.into()))?;
    Ok(row.map(|row| {
        let names: Option<Vec<String>> = row.get(2);
        // A mapping that is gone meanwhile cannot be exported again.
        let mappings = names.map(|names| names.iter().filter_map(|name| name.parse().ok()).collect());
        (Request { purpose: Purpose::Rewind, tenancies: None, mappings }, run(&row))
    }))
}

/// Re-exports that were begun and not finished, a line each. Commands that were killed are among them.
pub(crate) async fn under_way(client: &Client) -> Result<Vec<String>, CliError> {
    const OPEN: &str = "
SELECT purpose || ' of ' || CASE WHEN tenancies IS NULL THEN 'all tenancies' ELSE cardinality(tenancies) || ' tenancies' END
  || ', ' || CASE WHEN mappings IS NULL THEN 'all mappings' ELSE array_to_string(mappings, ', ') END
  || ', begun at ' || to_char(requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC, is not finished: run it again'
FROM lockstep.resync WHERE finished_at IS NULL ORDER BY id LIMIT 20";
    let rows = client.query(OPEN, &[]).await.map_err(|error| CliError::unless_migrated(error.into()))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn run(row: &Row) -> Run {
    Run { id: row.get(0), floor: SequenceId::new(row.get(1)) }
}

/// Draws the floor and writes the request down. With `past`, the sequence is moved beyond that number first.
///
/// Under the ordering lock (SEQ-1): whatever has a lower number is committed. The head moves along, so that no version in
/// a destination is ever above it (SRC-1).
pub(crate) async fn begin(client: &mut Client, request: &Request, past: Option<SequenceId>) -> Result<Run, CliError> {
    let [lock, _] = stamp::open();
    // In steps of the sequence: a platform may rely on them.
    let advance = format!(
        "SELECT setval('{SEQUENCE}', last_value + increment_by * greatest(0, ($1 - last_value) / increment_by + 1))
FROM {SEQUENCE}, (SELECT increment_by FROM pg_sequences WHERE schemaname = 'public' AND sequencename = 'global_seq_id') s"
    );
    let draw = format!(
        "INSERT INTO lockstep.resync (purpose, destination, tenancies, mappings, floor) VALUES ($1, $2, $3, $4, nextval('{SEQUENCE}')) RETURNING id, floor"
    );
    const RAISE_HEAD: &str =
        "UPDATE lockstep.sequence_head SET last_sequence = greatest(last_sequence, $1), stamped_at = now()";
    let drawing = async {
        let transaction = client.transaction().await?;
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'; {lock}"))
            .await?;
        if let Some(past) = past {
            transaction.execute(&advance, &[&past.get()]).await?;
        }
        let purpose = request.purpose.as_str();
        let row = transaction.query_one(&draw, &[&purpose, &DESTINATION, &request.ids(), &request.names()]).await?;
        let run = run(&row);
        transaction.execute(RAISE_HEAD, &[&run.floor.get()]).await?;
        transaction.commit().await?;
        Ok(run)
    };
    drawing.await.map_err(|error: tokio_postgres::Error| SourceError::from(error).into())
}

/// Writes down that everything was done.
pub(super) async fn finish(client: &Client, run: &Run, stale_rows: u64) -> Result<(), CliError> {
    const FINISH: &str = "UPDATE lockstep.resync SET finished_at = now(), stale_rows = $2 WHERE id = $1";
    let stale_rows = i64::try_from(stale_rows).unwrap_or(i64::MAX);
    client.execute(FINISH, &[&run.id, &stale_rows]).await.map_err(SourceError::from)?;
    Ok(())
}
