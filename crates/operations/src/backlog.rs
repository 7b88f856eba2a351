//! How far the destination has come. Every question costs what has changed, not how many tenancies there are.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Destination, Selection, without_ahead};
use lockstep_mappings::postgres::Target;
use lockstep_schema::progress::Unanswered;
use lockstep_schema::{Control, pauses, progress};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::error::{OperationError, Unfinished};
use crate::progress::Waiting;

/// The number that covers everything committed before this call.
///
/// # Errors
/// [`OperationError::Unfinished`] when the sequencer does not answer in time.
pub(crate) async fn fence(control: &Control, waiting: &mut Waiting<'_>) -> Result<SequenceId, OperationError> {
    let question = progress::ask(control).await?;
    let answer = loop {
        if let Some(sequence) = progress::answer(control, question).await? {
            break Ok(sequence);
        }
        let paused = pauses::paused(control).await?.into_iter().find(|part| part.kind == "sequencer");
        let unanswered = progress::unanswered(control).await?;
        let what = || match &paused {
            Some(paused) => format!("changes get no numbers, as {paused}"),
            None => why(unanswered).to_owned(),
        };
        if let Err(unfinished) = waiting.pause(what).await {
            break Err(unfinished);
        }
    };
    // The sequencer may hold one that it is about to answer, and removes what is old.
    if answer.is_ok() {
        progress::forget(control, question).await?;
    }
    answer.map_err(Unfinished::into)
}

const fn why(unanswered: Unanswered) -> &'static str {
    match unanswered {
        Unanswered::NobodyLeads => {
            "changes get no numbers, as no sequencer leads; start lockstep-sequencer, or see its log"
        }
        Unanswered::InShares => "a large transaction gets its numbers in shares",
        Unanswered::Searching => {
            "rows are still to be searched that earlier changes concern (`lockstep status`: expansions)"
        }
        Unanswered::NotYet => {
            "the sequencer that leads has not answered yet; if it lasts, see `lockstep doctor` and its log"
        }
    }
}

/// Mappings of which these tenancies have changes up to a number that have not arrived, each with how many tenancies.
pub(crate) async fn late(
    deployment: &Deployment<'_>,
    clickhouse: &ClickHouse,
    tenancies: &[TenancyId],
    up_to: SequenceId,
) -> Result<Vec<(String, usize)>, OperationError> {
    const LAST: &str = "
SELECT tenancy_id, mapping, max(sequence) FROM lockstep.change WHERE tenancy_id = ANY($1::uuid[]) AND sequence <= $2 GROUP BY 1, 2";
    let last = deployment.client.query(LAST, &[&uuids(tenancies), &up_to.get()]).await?;
    let names = deployment.mapping_names();
    let cursors = clickhouse.cursors(Selection::These(tenancies), Selection::These(&names)).await?;
    let cursors = without_ahead(cursors, deployment.last_sequence().await?);
    let late = deployment.mappings.iter().map(|mapping| {
        let target = Target::row(mapping).id();
        let is_late = |row: &&Row| {
            let pair = (TenancyId::new(row.get(0)), mapping.name.clone());
            row.get::<_, i32>(1) == target
                && cursors.get(&pair).is_none_or(|cursor| cursor.get() < row.get::<_, i64>(2))
        };
        (mapping.name.to_string(), last.iter().filter(is_late).count())
    });
    Ok(late.filter(|(_, count)| *count > 0).collect())
}

pub(crate) fn uuids(tenancies: &[TenancyId]) -> Vec<Uuid> {
    tenancies.iter().map(TenancyId::as_uuid).collect()
}
