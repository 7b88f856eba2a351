//! Filling mappings of a tenant's destination again, by the workers, while readers see no gap.

use std::time::Duration;

use lockstep_core::TenancyId;
use lockstep_schema::Control;
use lockstep_schema::tenant_destinations::mappings::{self as mapping_states, MappingState, TenantMapping};
use serde::Serialize;
use uuid::Uuid;

use super::{mappings_of, must_find};
use crate::deployment::Deployment;
use crate::error::{OperationError, Unfinished};
use crate::pause::{PausedPart, paused_parts};
use crate::progress::{Progress, Waiting};

/// What is to be filled again.
#[derive(Clone, Debug)]
pub struct RefillRequest {
    /// At which destination.
    pub id: Uuid,
    /// These mappings; all that go there, where none is named.
    pub mappings: Vec<String>,
    /// Its tenancy, where one is named.
    pub tenancies: Vec<TenancyId>,
    /// How long is waited.
    pub limit: Duration,
}

/// What filling again came to.
#[derive(Serialize, Debug)]
pub struct RefillReport {
    /// At which destination.
    pub destination: Uuid,
    /// How many mappings.
    pub mappings: usize,
    /// Rows that were shipped; none where it is not finished.
    pub rows: Option<i64>,
    /// Why it is not finished. The same operation continues where it was.
    pub unfinished: Option<String>,
    /// How long it took.
    pub took_ms: u64,
    /// What is paused, where it is not finished.
    pub paused: Vec<PausedPart>,
}

/// Asks for a refill, and waits for it. A fill that is under way is waited for, and not begun anew.
///
/// # Errors
/// When there is no such destination or mapping, another tenancy is named, or Postgres cannot be asked.
pub async fn refill(
    deployment: &mut Deployment<'_>,
    request: &RefillRequest,
    progress: Progress<'_>,
) -> Result<RefillReport, OperationError> {
    let setup = must_find(deployment, request.id).await?.setup;
    if let Some(other) = request.tenancies.iter().find(|tenancy| **tenancy != setup.tenancy) {
        return Err(OperationError::OfAnotherTenancy { destination: setup.id, tenancy: *other });
    }
    for name in &request.mappings {
        deployment.must_have_mapping(name)?;
    }
    let all = mappings_of(deployment.mappings, &setup);
    let names: Vec<_> = all.iter().map(|mapping| mapping.name.as_str()).collect();
    let wanted = |name: &&str| request.mappings.is_empty() || request.mappings.iter().any(|wanted| wanted == name);
    let names: Vec<_> = names.into_iter().filter(wanted).collect();
    let mut waiting = Waiting::new(request.limit, progress);
    let control = deployment.control_mut()?;
    let before = of(control, setup.id, &names).await?;
    let anew: Vec<_> = names.iter().copied().filter(|name| !before.iter().any(|of| is_on_its_way(of, name))).collect();
    if anew.len() < names.len() {
        waiting.tell("Continuing what was begun before.");
    }
    mapping_states::request_refill(control, setup.id, &anew).await?;
    let (rows, unfinished) = match ended(control, setup.id, &names, &mut waiting).await {
        Ok(rows) => (Some(rows), None),
        Err(OperationError::Unfinished(unfinished)) => (None, Some(unfinished.to_string())),
        Err(error) => return Err(error),
    };
    Ok(RefillReport {
        destination: setup.id,
        mappings: names.len(),
        rows,
        paused: if unfinished.is_some() { paused_parts(deployment).await? } else { Vec::new() },
        unfinished,
        took_ms: waiting.elapsed_ms(),
    })
}

async fn of(control: &Control, id: Uuid, names: &[&str]) -> Result<Vec<TenantMapping>, OperationError> {
    let mut states = mapping_states::of(control, &[id]).await?;
    states.retain(|mapping| names.contains(&mapping.mapping.as_str()));
    Ok(states)
}

/// Whether a mapping is filled, or will be.
fn is_on_its_way(mapping: &TenantMapping, name: &str) -> bool {
    mapping.mapping == name && (mapping.refill_requested_at.is_some() || mapping.state == MappingState::Filling)
}

/// Waits until these mappings are filled. Returns how many rows were shipped.
async fn ended(control: &Control, id: Uuid, names: &[&str], waiting: &mut Waiting<'_>) -> Result<i64, OperationError> {
    loop {
        let states = of(control, id, names).await?;
        let left: Vec<_> = states.iter().filter(|mapping| is_on_its_way(mapping, &mapping.mapping)).collect();
        let stopped: Vec<_> = states.iter().filter(|mapping| mapping.state == MappingState::Stopped).collect();
        if left.iter().all(|mapping| mapping.state == MappingState::Stopped) && !stopped.is_empty() {
            let stopped: Vec<_> = stopped.iter().map(|mapping| mapping.mapping.as_str()).collect();
            return Err(Unfinished::Stopped(stopped.join(", ")).into());
        }
        if left.is_empty() {
            return Ok(states.iter().map(|mapping| mapping.filled_rows).sum());
        }
        waiting.pause(|| left.iter().map(|mapping| what(mapping)).collect::<Vec<_>>().join(", ")).await?;
    }
}

fn what(mapping: &TenantMapping) -> String {
    match (mapping.refill_requested_at.is_some(), mapping.total_rows) {
        (true, _) => format!("{}: not begun", mapping.mapping),
        (false, Some(total)) => format!("{}: {} of about {total} rows", mapping.mapping, mapping.filled_rows),
        (false, None) => format!("{}: {} rows", mapping.mapping, mapping.filled_rows),
    }
}
