//! Exporting again while everything goes on.
//!
//! Whole mappings are filled again, as they were the first time, by the workers ([`mappings`]). Some tenancies are exported
//! through the stream ([`tenancies`]): a number F is drawn; all their rows get changes above it; when these have arrived, what
//! is left below F at their places is in the destination alone, and gets tombstones of version F. Either way readers see the
//! same rows all the time, old versions replaced by new ones, and an operation that was killed can be asked for again.

pub(crate) mod mappings;
mod tenancies;

use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_mappings::Mapping;
use serde::Serialize;

use self::mappings::{begin, ended, under_way};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::{PausedPart, paused_parts};
use crate::progress::{Progress, Waiting};
use crate::rewind::went_back;

/// What the fills are called.
const REASON: &str = "resync";

/// What is to be exported again.
#[derive(Clone, Debug)]
pub struct ResyncRequest {
    /// These tenancies, with those that share their project and branch; all, where none is named.
    pub tenancies: Vec<TenancyId>,
    /// These mappings; all, where none is named.
    pub mappings: Vec<String>,
    /// How long is waited.
    pub limit: Duration,
}

/// What exporting again came to.
#[derive(Serialize, Debug)]
pub struct ExportReport {
    /// How many mappings were exported.
    pub mappings: usize,
    /// How many tenancies were exported; none where all were.
    pub tenancies: Option<usize>,
    /// The number that all rows of these tenancies are above.
    pub floor: Option<i64>,
    /// Rows that were in the destination alone, and were removed; none where it is not finished.
    pub stale_rows: Option<i64>,
    /// Why it is not finished. The same operation continues where it was.
    pub unfinished: Option<String>,
    /// How long it took.
    pub took_ms: u64,
    /// What is paused, where it is not finished.
    pub paused: Vec<PausedPart>,
}

/// What was exported.
pub(crate) struct Exported {
    tenancies: Option<usize>,
    floor: Option<i64>,
    stale_rows: i64,
}

impl ExportReport {
    /// Of an export of so many mappings that was finished, or was not.
    pub(crate) async fn of(
        deployment: &Deployment<'_>,
        mappings: usize,
        exported: Result<Exported, OperationError>,
        took_ms: u64,
    ) -> Result<Self, OperationError> {
        match exported {
            Ok(Exported { tenancies, floor, stale_rows }) => Ok(Self {
                mappings,
                tenancies,
                floor,
                stale_rows: Some(stale_rows),
                unfinished: None,
                took_ms,
                paused: Vec::new(),
            }),
            Err(OperationError::Unfinished(unfinished)) => Ok(Self {
                mappings,
                tenancies: None,
                floor: None,
                stale_rows: None,
                unfinished: Some(unfinished.to_string()),
                took_ms,
                paused: paused_parts(deployment).await?,
            }),
            Err(error) => Err(error),
        }
    }
}

/// Exports again to ClickHouse, and waits until all has arrived and what only the destination has is removed.
///
/// # Errors
/// When there is no such part, the destination is ahead of the source, or one side cannot be asked.
pub async fn resync(
    deployment: &mut Deployment<'_>,
    request: &ResyncRequest,
    progress: Progress<'_>,
) -> Result<ExportReport, OperationError> {
    for name in &request.mappings {
        deployment.must_have_mapping(name)?;
    }
    let wanted = |mapping: &&Mapping| {
        request.mappings.is_empty() || request.mappings.iter().any(|name| mapping.name.as_str() == name)
    };
    let mappings: Vec<_> = deployment.mappings.iter().filter(wanted).collect();
    let clickhouse = deployment.clickhouse()?;
    // Where cursors are ahead they say nothing, and rows that did not arrive would be taken for stale.
    if let Some(went_back) = went_back(&clickhouse, &deployment.client, &deployment.mapping_names()).await? {
        return Err(OperationError::SourceWentBack(went_back));
    }
    let mut waiting = Waiting::new(request.limit, progress);
    let exported = if request.tenancies.is_empty() {
        filled(deployment, &mappings, &mut waiting).await
    } else {
        tenancies::export(deployment, &clickhouse, &mappings, &request.tenancies, &mut waiting).await
    };
    ExportReport::of(deployment, mappings.len(), exported, waiting.elapsed_ms()).await
}

/// Fills whole mappings, or goes on with that.
async fn filled(
    deployment: &mut Deployment<'_>,
    mappings: &[&Mapping],
    waiting: &mut Waiting<'_>,
) -> Result<Exported, OperationError> {
    if !mappings.is_empty() && under_way(deployment.control()?, mappings, REASON).await? == mappings.len() {
        waiting.tell("Continuing what was begun before.");
    } else {
        begin(&mut deployment.client, mappings, REASON, None).await?;
    }
    ended(deployment.control()?, mappings, waiting).await
}
