//! Adding a destination.

use lockstep_core::DestinationId;
use lockstep_core::TenancyId;
use lockstep_core::secret_keys::Holder;
use lockstep_destinations::Postgres;
use lockstep_schema::tenant_destinations::{self as registry, Setup};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::{
    DestinationFinding, PlannedTable, address, key_ring, mappings_of, must_be_free, network, parse, stored_mappings,
};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::must_exist;

/// What is to be added.
#[derive(Clone, Debug)]
pub struct AddDestinationRequest {
    /// Whose database it is.
    pub tenancy: TenancyId,
    /// The mappings that go there; all, also those that come later, where none is named.
    pub mappings: Vec<String>,
    /// How it is reached.
    pub connection: SecretString,
    /// Nothing is added: it is only looked at, and told what would be.
    pub dry_run: bool,
    /// It is added without looking.
    pub unchecked: bool,
}

/// What was added, or would be.
#[derive(Serialize, Debug)]
pub struct AddDestinationReport {
    /// Its id; none where it was not added.
    pub id: Option<Uuid>,
    /// Whose it is.
    pub tenancy: Uuid,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// Whether all mappings go there, also those that come later.
    pub all_mappings: bool,
    /// The tables that workers create there, or that they find there and use.
    pub tables: Vec<PlannedTable>,
    /// What was looked at.
    pub findings: Vec<DestinationFinding>,
    /// Whether nothing was to be added.
    pub dry_run: bool,
    /// Whether all that was looked at is well. What is not is not added.
    pub clean: bool,
}

/// Looks at a database, and adds it unless something is wrong there. Workers begin to fill it within seconds.
///
/// # Errors
/// When the tenancy or a mapping does not exist, the connection string or the key file cannot be used, the database is a
/// destination already, or Postgres cannot be asked.
pub async fn add_destination(
    deployment: &mut Deployment<'_>,
    request: &AddDestinationRequest,
) -> Result<AddDestinationReport, OperationError> {
    let settings = deployment.settings;
    let connection = parse(&request.connection, settings)?;
    let keys = key_ring(settings)?;
    must_exist(&deployment.client, request.tenancy).await?;
    let (id, tenancy) = (Uuid::new_v4(), request.tenancy);
    let setup = Setup {
        id,
        tenancy,
        mappings: stored_mappings(deployment, &request.mappings)?,
        sealed: keys.seal(&request.connection, Holder { destination: id, tenancy })?,
        address: address(&connection),
    };
    must_be_free(deployment, &setup).await?;
    let mappings = mappings_of(deployment.mappings, &setup);
    let mut findings = Vec::new();
    if !request.unchecked {
        let postgres = Postgres::new(DestinationId::tenant(id), tenancy, connection, network(settings)?);
        findings.extend(postgres.examine(&mappings).await.into_iter().map(DestinationFinding::from));
    }
    let clean = findings.iter().all(|finding| finding.ok);
    let is_added = clean && !request.dry_run;
    if is_added {
        let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let control = deployment.control_mut()?;
        registry::add(control, &setup).await?;
        // The database may have been a destination before: what it holds since then is not trusted.
        registry::mappings::request_refill(control, id, &names).await?;
    }
    Ok(AddDestinationReport {
        id: Some(id).filter(|_| is_added),
        tenancy: tenancy.as_uuid(),
        host: setup.address.host,
        port: setup.address.port,
        database: setup.address.database,
        user: setup.address.user,
        all_mappings: setup.mappings.is_none(),
        tables: mappings.into_iter().map(PlannedTable::of).collect(),
        findings,
        dry_run: request.dry_run,
        clean,
    })
}
