//! Filling whole mappings again.

use std::collections::BTreeMap;

use lockstep_core::SequenceId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::inbox;
use lockstep_schema::locks::ORDERING_LOCK;
use lockstep_schema::{SourceError, fills};
use tokio_postgres::Client;

use crate::arrival::Waiting;
use crate::error::CliError;
use crate::fusebox::DESTINATION;

/// What filling again came to.
pub(crate) struct Filled {
    pub(crate) mappings: usize,
    pub(crate) stale_rows: i64,
}

/// The floors of these mappings' fills, where all of them are under way for this reason.
pub(crate) async fn under_way(
    client: &Client,
    mappings: &[&Mapping],
    reason: &str,
) -> Result<Option<BTreeMap<String, SequenceId>>, CliError> {
    const SAME: &str = "
SELECT mapping_name, floor FROM lockstep.fill WHERE destination = $1 AND mapping_name = ANY($2) AND reason = $3 AND finished_at IS NULL";
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let rows = client.query(SAME, &[&DESTINATION, &names, &reason]).await;
    let rows = rows.map_err(|error| CliError::unless_migrated(error.into()))?;
    let floors: BTreeMap<_, _> = rows.iter().map(|row| (row.get(0), SequenceId::new(row.get(1)))).collect();
    Ok((!mappings.is_empty() && floors.len() == mappings.len()).then_some(floors))
}

/// Begins to fill these mappings again; returns the floors. With `past`, the sequence is moved beyond that number first, and
/// every line of the inbox is numbered once more, and where tenancies are is looked up: what was consumed may be lost (SRC-1).
pub(crate) async fn begin(
    client: &mut Client,
    mappings: &[&Mapping],
    reason: &str,
    past: Option<SequenceId>,
) -> Result<BTreeMap<String, SequenceId>, CliError> {
    let beginning = async {
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
        transaction.commit().await
    };
    beginning.await.map_err(SourceError::from)?;
    Ok(under_way(client, mappings, reason).await?.unwrap_or_default())
}

/// Says why rows that only the destination has are still there: a row that was refused must not be taken for one of them.
pub(super) fn say_what_was_kept() {
    eprintln!(
        "All rows were exported again, but some of them were refused (`lockstep quarantine list`). Rows that are in ClickHouse \
         alone are not removed before these are mended, or dropped there; then run the same command again."
    );
}

/// Waits until these fills have ended. `None`: time is up, or rows were refused, which was said.
pub(crate) async fn ended(
    client: &Client,
    floors: &BTreeMap<String, SequenceId>,
    waiting: &mut Waiting,
) -> Result<Option<Filled>, CliError> {
    const ENDED: &str = "
SELECT f.mapping_name, f.floor, f.finished_at IS NOT NULL, f.stale_rows, f.fence_id IS NOT NULL,
  (SELECT count(*) FROM lockstep.fill_range r WHERE r.mapping_name = f.mapping_name AND r.destination = f.destination AND r.finished_at IS NULL)
FROM lockstep.fill f WHERE f.destination = $1 ORDER BY f.mapping_name";
    loop {
        let rows = client.query(ENDED, &[&DESTINATION]).await.map_err(SourceError::from)?;
        let of_ours = rows.iter().filter(|row| floors.contains_key(row.get::<_, &str>(0)));
        // One with another floor was begun anew by somebody else since: it covers this one.
        let (done, left): (Vec<_>, Vec<_>) = of_ours.partition(|row| row.get(2));
        if left.is_empty() {
            let stale: Vec<Option<i64>> = done.iter().map(|row| row.get(3)).collect();
            if stale.contains(&None) {
                say_what_was_kept();
                return Ok(None);
            }
            return Ok(Some(Filled { mappings: done.len(), stale_rows: stale.into_iter().flatten().sum() }));
        }
        let what = || {
            let each: Vec<_> = left
                .iter()
                .map(|row| {
                    let (name, ranges): (&str, i64) = (row.get(0), row.get(5));
                    if row.get(4) {
                        format!("{name}: what was written meanwhile")
                    } else {
                        format!("{name}: {ranges} ranges")
                    }
                })
                .collect();
            each.join(", ")
        };
        if !waiting.pause(what).await {
            return Ok(None);
        }
    }
}
