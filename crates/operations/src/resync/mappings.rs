//! Filling whole mappings again.

use lockstep_core::SequenceId;
use lockstep_mappings::postgres::inbox;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::Control;
use lockstep_schema::fills::{self, FillStatus};
use lockstep_schema::locks::ORDERING_LOCK;
use tokio_postgres::Client;

use super::Exported;
use crate::DESTINATION;
use crate::error::{OperationError, Unfinished};
use crate::progress::Waiting;

/// How many fills of these mappings are under way for this reason.
pub(crate) async fn under_way(control: &Control, mappings: &[&Mapping], reason: &str) -> Result<usize, OperationError> {
    Ok(of(control, mappings).await?.iter().filter(|fill| fill.reason == reason && !fill.is_finished).count())
}

/// Those of these mappings of which rows were refused when they were filled for this reason: what only the destination has of
/// their tenancies is still there.
pub(crate) async fn left_by_refusal<'a>(
    control: &Control,
    mappings: &[&'a Mapping],
    reason: &str,
) -> Result<Vec<&'a Mapping>, OperationError> {
    let fills = of(control, mappings).await?;
    let is_left = |mapping: &&&Mapping| {
        fills.iter().any(|fill| {
            fill.mapping == mapping.name.as_str()
                && fill.reason == reason
                && fill.is_finished
                && fill.stale_rows.is_none()
        })
    };
    Ok(mappings.iter().filter(is_left).copied().collect())
}

async fn of(control: &Control, mappings: &[&Mapping]) -> Result<Vec<FillStatus>, OperationError> {
    let mut fills = fills::statuses(control, &DESTINATION.into()).await?;
    fills.retain(|fill| mappings.iter().any(|mapping| mapping.name.as_str() == fill.mapping));
    Ok(fills)
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

/// Begins to fill all mappings again, where ClickHouse holds what was shipped before the source was attached anew.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn fill_anew(client: &mut Client, mappings: &MappingSet) -> Result<(), OperationError> {
    begin(client, &mappings.iter().collect::<Vec<_>>(), "attached again", None).await
}

/// Waits until the fills of these mappings have ended.
pub(crate) async fn ended(
    control: &Control,
    mappings: &[&Mapping],
    waiting: &mut Waiting<'_>,
) -> Result<Exported, OperationError> {
    loop {
        // One that was begun anew by somebody else since covers ours.
        let (done, left): (Vec<_>, Vec<_>) =
            of(control, mappings).await?.into_iter().partition(|fill| fill.is_finished);
        if left.is_empty() {
            let stale: Option<i64> = done.iter().map(|fill| fill.stale_rows).sum();
            let stale_rows = stale.ok_or(Unfinished::RowsRefused { of: "their tenants" })?;
            return Ok(Exported { tenancies: None, floor: None, stale_rows });
        }
        let what = |fill: &FillStatus| {
            let (name, ranges) = (&fill.mapping, fill.ranges - fill.ranges_done);
            if fill.is_caught_up {
                format!("{name}: what was written meanwhile")
            } else {
                format!("{name}: {ranges} ranges")
            }
        };
        waiting.pause(|| left.iter().map(what).collect::<Vec<_>>().join(", ")).await?;
    }
}
