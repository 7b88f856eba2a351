//! Mending what a source that was restored to an earlier state has forgotten (SRC-1).

use std::time::Duration;

use lockstep_core::{MappingName, SequenceId};
use lockstep_destinations::{ClickHouse, HighWater, WentBack};
use lockstep_schema::identity::{last_sequence, server_run};
use lockstep_schema::{SqlStateKind, tenant_destinations};
use serde::Serialize;
use tokio_postgres::Client;

use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::progress::{Progress, Waiting};
use crate::resync::ExportReport;
use crate::resync::mappings::{begin, ended, left_by_refusal, under_way};

/// What the fills are called.
const REASON: &str = "rewind";

/// Numbers that are left out beyond the highest that was found: a worker may have had rows in hand, read before the source was
/// restored, that arrive after this has looked. One flush holds fewer.
pub const REWIND_MARGIN: i64 = 1_000_000;

/// What was found, and what was done about it.
#[derive(Serialize, Debug)]
pub struct RewindReport {
    /// The last number that the source has given out.
    pub source_at: i64,
    /// The highest number that the destination holds.
    pub destination_at: i64,
    /// Mappings with cursors or rows above the source's number.
    pub ahead: Vec<Ahead>,
    /// Mappings of which rows were refused when this was done before: what only the destination has of their tenancies is
    /// removed when they are filled once more.
    pub refused: Vec<String>,
    /// Whether filling again has begun before and has not ended.
    pub under_way: bool,
    /// The number that the sequence was moved to.
    pub numbers_from: Option<i64>,
    /// All mappings are filled again; none where nothing had to be mended, or nothing was to be done.
    pub export: Option<ExportReport>,
}

/// How far a mapping is in the destination.
#[derive(Serialize, Debug)]
pub struct Ahead {
    /// Its name.
    pub mapping: String,
    /// The highest of all tenancies' cursors.
    pub cursor: i64,
    /// The highest of all rows and tombstones.
    pub version: i64,
}

/// Whether ClickHouse holds numbers that the source never gave out. One that has no table of changes gave out none; of one whose tables
/// are older than this program nothing is known before `lockstep migrate`.
///
/// # Errors
/// When one side cannot be asked.
pub async fn went_back(
    clickhouse: &ClickHouse,
    source: &Client,
    mappings: &[MappingName],
) -> Result<Option<WentBack>, OperationError> {
    // Before the source is asked: what is numbered and shipped in between must not look like being ahead.
    let marks = clickhouse.marks(mappings).await?;
    match last_sequence(source).await {
        Err(error) if error.kind() == Some(SqlStateKind::Missing) => {
            let is_new = "SELECT to_regclass('lockstep.change') IS NULL";
            let is_new: bool = source.query_one(is_new, &[]).await?.get(0);
            Ok(is_new.then_some(SequenceId::BASE).and_then(|source_at| marks.beyond(source_at)))
        }
        source_at => Ok(marks.beyond(source_at?)),
    }
}

/// Looks what is ahead of the source; moves the sequence past that and fills all mappings again, unless it is to look only.
///
/// # Errors
/// When one side cannot be asked.
pub async fn rewind(
    deployment: &mut Deployment<'_>,
    only_look: bool,
    limit: Duration,
    progress: Progress<'_>,
) -> Result<RewindReport, OperationError> {
    let clickhouse = deployment.clickhouse()?;
    let marks = clickhouse.marks(&deployment.mapping_names()).await?;
    let source_at = deployment.last_sequence().await?;
    let ahead = marks.ahead_of(source_at).into_iter();
    let ahead = ahead.map(|(name, mark)| Ahead {
        mapping: name.to_string(),
        cursor: mark.cursor.get(),
        version: mark.version.get(),
    });
    let all: Vec<_> = deployment.mappings.iter().collect();
    let begun = under_way(deployment.control()?, &all, REASON).await? > 0;
    let refused = left_by_refusal(deployment.control()?, &all, REASON).await?;
    let mut report = RewindReport {
        source_at: source_at.get(),
        destination_at: marks.highest().get(),
        ahead: ahead.collect(),
        refused: refused.iter().map(|mapping| mapping.name.to_string()).collect(),
        under_way: begun,
        numbers_from: None,
        export: None,
    };
    if only_look || report.ahead.is_empty() && refused.is_empty() && !begun {
        return Ok(report);
    }
    let mut waiting = Waiting::new(limit, progress);
    if report.ahead.is_empty() {
        waiting.tell("Continuing what was begun before.");
        if !refused.is_empty() {
            begin(&mut deployment.client, &refused, REASON, None).await?;
        }
    } else {
        // All of them: a change that was lost with the source may have been shipped, and its row keeps other content there
        // without any number being ahead.
        let past = SequenceId::new(marks.highest().get().saturating_add(REWIND_MARGIN));
        begin(&mut deployment.client, &all, REASON, Some(past)).await?;
        // Tenants' own databases may hold what was lost, too.
        tenant_destinations::mappings::forget_all(deployment.control_mut()?).await?;
        report.numbers_from = Some(past.get());
        waiting.tell(&format!("Numbers go on from {past}."));
    }
    let run = server_run(&deployment.client).await?;
    clickhouse.write_source(&run.identity).await?;
    let filled = ended(deployment.control()?, &all, &mut waiting).await;
    report.export = Some(ExportReport::of(deployment, all.len(), filled, waiting.elapsed_ms()).await?);
    Ok(report)
}
