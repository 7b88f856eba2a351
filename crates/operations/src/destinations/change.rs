//! Changing what is set about a destination: a new password, another host, other mappings.

use lockstep_schema::tenant_destinations::{self as registry, Address, Setup};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::{
    DestinationFinding, address, key_ring, mappings_of, must_be_free, must_find, parse, postgres, stored_mappings,
};
use crate::deployment::Deployment;
use crate::error::OperationError;

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct ChangeDestinationRequest {
    /// Of which destination.
    pub id: Uuid,
    /// How it is reached from now on; as before, where it is not given.
    pub connection: Option<SecretString>,
    /// The mappings that go there from now on, all where none is named; as before, where it is not given.
    pub mappings: Option<Vec<String>>,
    /// It is changed without looking.
    pub unchecked: bool,
}

/// What was changed.
#[derive(Serialize, Debug)]
pub struct ChangeDestinationReport {
    /// Which destination.
    pub id: Uuid,
    /// Whether it was changed: what is not well is not.
    pub changed: bool,
    /// Host, as it is now.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// The mappings that go there; none where all do.
    pub mappings: Option<Vec<String>>,
    /// Mappings that are filled again: all where the database is another one, else those that are new there.
    pub filled_again: Vec<String>,
    /// What was looked at.
    pub findings: Vec<DestinationFinding>,
}

/// Changes a destination, unless something is wrong with what it is to be.
///
/// # Errors
/// As of [`add_destination`](super::add_destination), and when there is no such destination.
pub async fn change_destination(
    deployment: &mut Deployment<'_>,
    request: &ChangeDestinationRequest,
) -> Result<ChangeDestinationReport, OperationError> {
    let before = must_find(deployment, request.id).await?.setup;
    let setup = changed(deployment, request, &before)?;
    must_be_free(deployment, &setup).await?;
    let mappings = mappings_of(deployment.mappings, &setup);
    let mut findings = Vec::new();
    if !request.unchecked {
        let examined = postgres(deployment.settings, &setup)?.examine(&mappings).await;
        findings.extend(examined.into_iter().map(DestinationFinding::from));
    }
    let changed = findings.iter().all(|finding| finding.ok);
    let is_elsewhere = place(&before.address) != place(&setup.address);
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let again: Vec<_> = names.iter().copied().filter(|name| is_elsewhere || !before.takes(name)).collect();
    if changed {
        let control = deployment.control_mut()?;
        registry::change(control, &setup).await?;
        registry::mappings::keep_only(control, setup.id, &names).await?;
        registry::mappings::request_refill(control, setup.id, &again).await?;
    }
    Ok(ChangeDestinationReport {
        id: setup.id,
        changed,
        host: setup.address.host,
        port: setup.address.port,
        database: setup.address.database,
        user: setup.address.user,
        mappings: setup.mappings,
        filled_again: again.into_iter().filter(|_| changed).map(str::to_owned).collect(),
        findings,
    })
}

/// What is set from now on.
fn changed(
    deployment: &Deployment<'_>,
    request: &ChangeDestinationRequest,
    before: &Setup,
) -> Result<Setup, OperationError> {
    let mut setup = before.clone();
    if let Some(connection) = &request.connection {
        setup.address = address(&parse(connection, deployment.settings)?);
        setup.sealed = key_ring(deployment.settings)?.seal(connection, setup.holder())?;
    }
    if let Some(mappings) = &request.mappings {
        setup.mappings = stored_mappings(deployment, mappings)?;
    }
    Ok(setup)
}

/// Which database it is; by another user it is the same.
fn place(address: &Address) -> (&str, u16, &str) {
    (&address.host, address.port, &address.database)
}
