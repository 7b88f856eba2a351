//! Filling whole mappings again.

use lockstep_core::SequenceId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::inbox;
use lockstep_schema::fills;
use lockstep_schema::locks::ORDERING_LOCK;
use tokio_postgres::{Client, Row};

use super::Exported;
use crate::DESTINATION;
use crate::error::{OperationError, Unfinished};
use crate::progress::Waiting;

/// Whether the fills of all these mappings are under way for this reason.
pub(crate) async fn under_way(client: &Client, mappings: &[&Mapping], reason: &str) -> Result<bool, OperationError> {
    const SAME: &str = "
SELECT count(*) FROM lockstep.fill WHERE destination = $1 AND mapping_name = ANY($2) AND reason = $3 AND finished_at IS NULL";
    let same: i64 = client.query_one(SAME, &[&DESTINATION, &names(mappings), &reason]).await?.get(0);
    Ok(!mappings.is_empty() && usize::try_from(same) == Ok(mappings.len()))
}

/// Begins to fill these mappings again. With `past`, the sequence is moved beyond that number first, and
/// every line of the inbox is numbered once more, and where tenancies are is looked up: what was consumed may be lost (SRC-1).
pub(crate) async fn begin(
    client: &mut Client,
    mappings: &[&Mapping],
    reason: &str,
    past: Option<SequenceId>,
) -> Result<(), OperationError> {
    let transaction = client.transaction().await?;
    let lock = format!(
        "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'; SELECT pg_advisory_xact_lock({ORDERING_LOCK})"
    );
    transaction.batch_execute(&lock).await?;
    if let Some(past) = past {
        const MOVE: &str = "SELECT setval('lockstep.sequence', GREATEST($1, (SELECT last_value FROM lockstep.sequence))), lockstep.extend_change($1)";
        const ANEW: &str = "INSERT INTO lockstep.pass (last_sequence, consumed) VALUES ($1, '1:1:')";
        transaction.execute(MOVE, &[&past.get()]).await?;
        transaction.execute(ANEW, &[&past.get()]).await?;
        for statement in inbox::find_tenancies() {
            transaction.execute(&statement, &[]).await?;
        }
    }
    for mapping in mappings {
        for statement in fills::begin(mapping, &DESTINATION.into(), reason) {
            transaction.batch_execute(&statement).await?;
        }
    }
    Ok(transaction.commit().await?)
}

/// Waits until the fills of these mappings have ended.
pub(crate) async fn ended(
    client: &Client,
    mappings: &[&Mapping],
    waiting: &mut Waiting<'_>,
) -> Result<Exported, OperationError> {
    const ENDED: &str = "
SELECT f.mapping_name, f.finished_at IS NOT NULL, f.stale_rows, f.fence_id IS NOT NULL,
  (SELECT count(*) FROM lockstep.fill_range r WHERE r.mapping_name = f.mapping_name AND r.destination = f.destination AND r.finished_at IS NULL)
FROM lockstep.fill f WHERE f.destination = $1 AND f.mapping_name = ANY($2) ORDER BY f.mapping_name";
    loop {
        let rows = client.query(ENDED, &[&DESTINATION, &names(mappings)]).await?;
        // One that was begun anew by somebody else since covers ours.
        let (done, left): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get(1));
        if left.is_empty() {
            let stale: Option<i64> = done.iter().map(|row| row.get::<_, Option<i64>>(2)).sum();
            let stale_rows = stale.ok_or(Unfinished::RowsRefused)?;
            return Ok(Exported { tenancies: None, floor: None, stale_rows });
        }
        let what = |row: &&Row| {
            let (name, ranges): (&str, i64) = (row.get(0), row.get(4));
            if row.get(3) { format!("{name}: what was written meanwhile") } else { format!("{name}: {ranges} ranges") }
        };
        waiting.pause(|| left.iter().map(what).collect::<Vec<_>>().join(", ")).await?;
    }
}

fn names<'a>(mappings: &[&'a Mapping]) -> Vec<&'a str> {
    mappings.iter().map(|mapping| mapping.name.as_str()).collect()
}
