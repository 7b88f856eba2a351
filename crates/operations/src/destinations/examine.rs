//! Looking whether a tenant's database can be used.

use serde::Serialize;
use uuid::Uuid;

use super::{DestinationFinding, mappings_of, must_find, postgres};
use crate::deployment::Deployment;
use crate::error::OperationError;

/// What was looked at in a tenant's database.
#[derive(Serialize, Debug)]
pub struct DestinationTestReport {
    /// Which destination.
    pub id: Uuid,
    /// Whether all is well.
    pub clean: bool,
    /// One by one.
    pub findings: Vec<DestinationFinding>,
}

/// Connects, and looks at what is needed there: rights, version, TLS, slots, tables.
///
/// # Errors
/// When there is no such destination, its connection string cannot be decrypted, or Postgres cannot be asked. A database that
/// cannot be reached is a finding.
pub async fn test_destination(deployment: &Deployment<'_>, id: Uuid) -> Result<DestinationTestReport, OperationError> {
    let setup = must_find(deployment, id).await?.setup;
    let examined = postgres(deployment.settings, &setup)?.examine(&mappings_of(deployment.mappings, &setup)).await;
    let findings: Vec<_> = examined.into_iter().map(DestinationFinding::from).collect();
    Ok(DestinationTestReport { id, clean: findings.iter().all(|finding| finding.ok), findings })
}
