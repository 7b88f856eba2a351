//! Pausing parts and letting them go on, written down in `lockstep.pause`. Nothing is lost meanwhile: what comes is shipped
//! when the part is resumed.

use lockstep_schema::pauses;
pub use lockstep_schema::pauses::{Part, PausedPart};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::destinations::Named;
use crate::error::OperationError;
use crate::tenancies::must_exist;

/// What pausing or resuming came to.
#[derive(Serialize, Debug)]
pub struct PauseReport {
    /// `sequencer`, `workers`, `mapping`, `destination` or `tenancy`.
    pub kind: &'static str,
    /// Which mapping, destination or tenancy; empty where there is one only.
    pub name: String,
    /// Whether the part is paused now.
    pub paused: bool,
    /// Whether it was otherwise before.
    pub changed: bool,
}

impl PauseReport {
    fn of(part: &Part, paused: bool, changed: bool) -> Self {
        Self { kind: part.kind(), name: part.name(), paused, changed }
    }
}

/// Everything that is paused.
#[derive(Serialize, Debug)]
pub struct PausedReport {
    /// In order of kind and name.
    pub paused: Vec<PausedPart>,
}

/// Pauses a part, within a second. One that is paused already keeps its time and reason.
///
/// # Errors
/// When there is no such part, or Postgres cannot be asked.
pub async fn pause(deployment: &Deployment<'_>, part: &Part, reason: &str) -> Result<PauseReport, OperationError> {
    match part {
        Part::Mapping(name) => deployment.must_have_mapping(name)?,
        Part::Destination(name) => drop(Named::find(deployment, name).await?),
        Part::Tenancy(id) => must_exist(&deployment.client, *id).await?,
        Part::Sequencer | Part::Workers => {}
    }
    let part = &as_stored(part);
    let changed = pauses::pause(deployment.control()?, part, reason).await?;
    Ok(PauseReport::of(part, true, changed))
}

/// Lets a part go on, whatever has become of it since.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn resume(deployment: &Deployment<'_>, part: &Part) -> Result<PauseReport, OperationError> {
    let part = &as_stored(part);
    let changed = pauses::resume(deployment.control()?, part).await?;
    Ok(PauseReport::of(part, false, changed))
}

/// Pauses are found by the id as Postgres prints it, however it was given.
fn as_stored(part: &Part) -> Part {
    match part {
        Part::Destination(name) => {
            Part::Destination(Named::parse(name).map_or_else(|_| name.clone(), |named| named.to_string()))
        }
        other => other.clone(),
    }
}

/// What is paused.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn paused(deployment: &Deployment<'_>) -> Result<PausedReport, OperationError> {
    Ok(PausedReport { paused: paused_parts(deployment).await? })
}

pub(crate) async fn paused_parts(deployment: &Deployment<'_>) -> Result<Vec<PausedPart>, OperationError> {
    Ok(pauses::paused(deployment.control()?).await?)
}
