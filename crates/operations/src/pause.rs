//! Pausing parts and letting them go on, written down in `lockstep.fuse`. Nothing is lost meanwhile: what comes is shipped
//! when the part is resumed.

use std::fmt;

use lockstep_core::TenancyId;
use lockstep_schema::fuses::{self, FuseKind};
use serde::Serialize;
use tokio_postgres::Client;

use crate::deployment::{Deployment, must_be_destination};
use crate::error::OperationError;
use crate::tenancies::must_exist;

/// What can be paused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Changes get no numbers; they stay in the inbox.
    Sequencer,
    /// No worker ships anything.
    Workers,
    /// One mapping is not shipped.
    Mapping(String),
    /// Nothing is shipped to one destination.
    Destination(String),
    /// One tenancy is not shipped; nor is anything filled, as ranges hold rows of all tenancies.
    Tenancy(TenancyId),
}

impl Part {
    /// As `lockstep.fuse` has it.
    fn fuse(&self) -> (FuseKind, String) {
        match self {
            Self::Sequencer => (FuseKind::Sequencer, String::new()),
            Self::Workers => (FuseKind::Worker, String::new()),
            Self::Mapping(name) => (FuseKind::Mapping, name.clone()),
            Self::Destination(name) => (FuseKind::Destination, name.clone()),
            Self::Tenancy(id) => (FuseKind::Tenant, id.to_string()),
        }
    }
}

/// The operator's word for a kind of part.
fn kind_name(kind: &str) -> &str {
    match kind {
        "worker" => "workers",
        "tenant" => "tenancy",
        other => other,
    }
}

/// What pausing or resuming came to.
#[derive(Serialize, Debug)]
pub struct PauseReport {
    /// `sequencer`, `workers`, `mapping`, `destination` or `tenancy`.
    pub kind: String,
    /// Which mapping, destination or tenancy; empty where there is one only.
    pub name: String,
    /// Whether the part is paused now.
    pub paused: bool,
    /// Whether it was otherwise before.
    pub changed: bool,
}

/// A part that is paused.
#[derive(Serialize, Debug)]
pub struct PausedPart {
    /// As in [`PauseReport::kind`].
    pub kind: String,
    /// Which mapping, destination or tenancy; empty where there is one only.
    pub name: String,
    /// Since when, in UTC.
    pub since: String,
    /// Why, if anybody said.
    pub reason: String,
}

impl fmt::Display for PausedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.name.is_empty() { "" } else { " " };
        write!(f, "{}{space}{} paused since {}", self.kind, self.name, self.since)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
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
        Part::Destination(name) => must_be_destination(name)?,
        Part::Tenancy(id) => must_exist(&deployment.client, *id).await?,
        Part::Sequencer | Part::Workers => {}
    }
    let (kind, name) = part.fuse();
    let stopped = fuses::stop(&deployment.client, kind, &name, reason).await;
    let changed = stopped.map_err(OperationError::unless_migrated)?;
    Ok(PauseReport { kind: kind_name(kind.as_str()).to_owned(), name, paused: true, changed })
}

/// Lets a part go on, whatever has become of it since.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn resume(deployment: &Deployment<'_>, part: &Part) -> Result<PauseReport, OperationError> {
    let (kind, name) = part.fuse();
    let changed = fuses::go(&deployment.client, kind, &name).await.map_err(OperationError::unless_migrated)?;
    Ok(PauseReport { kind: kind_name(kind.as_str()).to_owned(), name, paused: false, changed })
}

/// What is paused.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn paused(deployment: &Deployment<'_>) -> Result<PausedReport, OperationError> {
    Ok(PausedReport { paused: paused_parts(&deployment.client).await? })
}

pub(crate) async fn paused_parts(client: &Client) -> Result<Vec<PausedPart>, OperationError> {
    let blown = fuses::blown(client).await.map_err(OperationError::unless_migrated)?;
    let part = |fuse: fuses::BlownFuse| PausedPart {
        kind: kind_name(&fuse.kind).to_owned(),
        name: fuse.name,
        since: format!("{}Z", fuse.blown_at.replace(' ', "T")),
        reason: fuse.reason,
    };
    Ok(blown.into_iter().map(part).collect())
}
