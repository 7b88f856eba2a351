//! Mending what differs: its keys are numbered anew, and what the source has of them is shipped once more, or a tombstone. No destination is
//! written by the verifier, and what the source has decides at the time when it is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::{
    ActionRecord, Deployment, MarkedRow, OperationError, WaitFor, WaitOutcome, begin_action, end_action, mark, wait,
};
use serde::Serialize;
use serde_json::json;

use crate::error::VerifyError;
use crate::proof::Mendable;
use crate::report::{MappingReport, Report};

/// What is to be mended, or was.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct RepairReport {
    /// Rows that a new change mends, by mapping.
    pub rows: BTreeMap<String, u64>,
    /// Rows that differ and that no change mends: `lockstep rewind` is for numbers that are ahead, `lockstep erase` for rows of nobody.
    pub unmendable: u64,
    /// Whether they were numbered anew.
    pub is_done: bool,
    /// Whether everything had arrived when it was looked at again.
    pub has_arrived: bool,
}

/// Which rows a new change mends, by mapping; a row that differs in several destinations is one.
fn mendable(report: &Report) -> BTreeMap<&str, BTreeSet<&Mendable>> {
    let mut all: BTreeMap<&str, BTreeSet<&Mendable>> = BTreeMap::new();
    for mapping in report.all_mappings() {
        all.entry(&mapping.name).or_default().extend(&mapping.proof.mendable);
    }
    all.retain(|_, rows| !rows.is_empty());
    all
}

/// What would be mended.
pub fn plan_repair(report: &Report) -> RepairReport {
    let rows = mendable(report).into_iter().map(|(name, rows)| (name.to_owned(), rows.len() as u64)).collect();
    let unmendable = report.all_mappings().map(|mapping: &MappingReport| mapping.proof.unmendable).sum();
    RepairReport { rows, unmendable, ..RepairReport::default() }
}

async fn mark_all(deployment: &mut Deployment<'_>, report: &Report) -> Result<(), OperationError> {
    for (name, rows) in mendable(report) {
        let rows: Vec<_> =
            rows.into_iter().map(|row| MarkedRow { tenancy: row.tenancy, key: row.values.clone() }).collect();
        mark(deployment, name, &rows).await?;
    }
    Ok(())
}

/// Has the rows that differ numbered anew, and waits until they have arrived everywhere, for `limit` at the longest.
///
/// # Errors
/// There are more than `most`, and none was touched; or the source cannot be asked, or refused it.
pub async fn repair(
    settings: &Settings,
    report: &Report,
    most: u64,
    limit: Duration,
) -> Result<RepairReport, VerifyError> {
    let planned = plan_repair(report);
    let rows: u64 = planned.rows.values().sum();
    if rows > most {
        return Err(VerifyError::TooManyRepairs { rows, limit: most });
    }
    if rows == 0 {
        return Ok(planned);
    }
    let set = MappingSet::load(&settings.mappings)?;
    let mut deployment = Deployment::connect(settings, &set).await?;
    let change = ActionRecord::new("verifier --repair", json!({ "rows": planned.rows }));
    let action = begin_action(&deployment, "lockstep-verifier", &change).await?;
    let marked = mark_all(&mut deployment, report).await;
    let outcome = if marked.is_ok() { "numbered anew" } else { "failed" };
    end_action(&deployment, action, outcome).await?;
    marked?;
    let waited = wait(&deployment, &WaitFor::All, limit, &mut |_| ()).await?;
    Ok(RepairReport { is_done: true, has_arrived: waited.outcome != WaitOutcome::InFlight, ..planned })
}
