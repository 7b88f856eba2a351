//! Tenants' own destinations: adding, showing, trying and removing them, and the keys that their connection strings are
//! encrypted with.
//!
//! What is shown of a connection string is host, port, database and user; the string is decrypted only to connect.

mod add;
mod change;
mod examine;
mod keys;
mod list;
mod planned;
mod refill;
mod remove;
mod state;

use std::sync::Arc;

use lockstep_core::secret_keys::{Holder, KeyRing, Sealed};
use lockstep_core::settings::Settings;
use lockstep_destinations::Postgres;
use lockstep_destinations::postgres::{ConnectionString, Finding, Network, reach};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::tenant_destinations::{self as registry, Address, Setup, TenantDestination};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

pub use self::add::{AddDestinationReport, AddDestinationRequest, add_destination};
pub use self::change::{ChangeDestinationReport, ChangeDestinationRequest, change_destination};
pub use self::examine::{DestinationTestReport, test_destination};
pub use self::keys::{NotResealed, RotateKeyReport, rotate_key};
pub(crate) use self::list::entries;
pub use self::list::{DestinationDetail, DestinationsReport, TenantMappingEntry, list_destinations, show_destination};
pub use self::planned::{PlannedColumn, PlannedTable};
pub use self::refill::{RefillReport, RefillRequest, refill};
pub use self::remove::{RemoveDestinationReport, RemoveDestinationRequest, remove_destination};
pub use self::state::{DestinationEntry, DestinationState};
use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;

/// One thing that was looked at in a tenant's database.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct DestinationFinding {
    /// What it is and how it stands, in words.
    pub what: String,
    /// Whether it is well.
    pub ok: bool,
}

impl From<Finding> for DestinationFinding {
    fn from(Finding { what, ok }: Finding) -> Self {
        Self { what, ok }
    }
}

/// Reads the key file.
pub(crate) fn key_ring(settings: &Settings) -> Result<KeyRing, OperationError> {
    let file = settings.destinations.secret_key_file.as_deref().ok_or(OperationError::NoKeyFile)?;
    Ok(KeyRing::load(file)?)
}

/// A connection string as the operator lets tenants have it.
fn parse(text: &SecretString, settings: &Settings) -> Result<ConnectionString, OperationError> {
    Ok(ConnectionString::parse(text, settings.destinations.tls)?)
}

/// What every connection to a tenant's database goes by.
fn network(settings: &Settings) -> Result<Arc<Network>, OperationError> {
    Ok(Arc::new(reach(settings).map_err(OperationError::TenantNetwork)?))
}

/// Decrypts what is stored, and takes it apart.
fn decrypted(settings: &Settings, sealed: &Sealed, holder: Holder) -> Result<ConnectionString, OperationError> {
    parse(&key_ring(settings)?.open(sealed, holder)?, settings)
}

/// Connects to nothing yet.
pub(crate) fn postgres(settings: &Settings, setup: &Setup) -> Result<Postgres, OperationError> {
    let connection = decrypted(settings, &setup.sealed, setup.holder())?;
    Ok(Postgres::new(setup.destination_id(), setup.tenancy, connection, network(settings)?))
}

fn address(connection: &ConnectionString) -> Address {
    Address {
        host: connection.host().to_owned(),
        port: connection.port(),
        database: connection.database().to_owned(),
        user: connection.user().to_owned(),
    }
}

/// The destination of this id.
pub(crate) async fn must_find(deployment: &Deployment<'_>, id: Uuid) -> Result<TenantDestination, OperationError> {
    let found = registry::find(deployment.control()?, id).await?;
    found.ok_or_else(|| OperationError::UnknownDestination(id.to_string()))
}

/// A destination by the name that an operator has given: the platform's own, or the id of a tenant's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    ClickHouse,
    Tenants(Uuid),
}

impl Named {
    /// Says nothing about whether it is there.
    pub(crate) fn parse(name: &str) -> Result<Self, OperationError> {
        if name == DESTINATION {
            return Ok(Self::ClickHouse);
        }
        Uuid::parse_str(name).map(Self::Tenants).map_err(|_| OperationError::UnknownDestination(name.to_owned()))
    }

    /// Fails unless it is there.
    pub(crate) async fn find(deployment: &Deployment<'_>, name: &str) -> Result<Self, OperationError> {
        let named = Self::parse(name)?;
        if let Self::Tenants(id) = named {
            must_find(deployment, id).await?;
        }
        Ok(named)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClickHouse => f.write_str(DESTINATION),
            Self::Tenants(id) => id.fmt(f),
        }
    }
}

/// The names of mappings as they are stored: none for all. Each has to be there.
fn stored_mappings(deployment: &Deployment<'_>, names: &[String]) -> Result<Option<Vec<String>>, OperationError> {
    for name in names {
        deployment.must_have_mapping(name)?;
    }
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    Ok(Some(names).filter(|names| !names.is_empty()))
}

/// The mappings that go to a destination.
fn mappings_of<'a>(mappings: &'a MappingSet, setup: &Setup) -> Vec<&'a Mapping> {
    mappings.iter().filter(|mapping| setup.takes(mapping.name.as_str())).collect()
}

/// Fails where the same database is another destination already: each would undo what the other does.
async fn must_be_free(deployment: &Deployment<'_>, setup: &Setup) -> Result<(), OperationError> {
    let Address { host, port, database, .. } = &setup.address;
    let others = registry::overview::at_database(deployment.control()?, host, *port, database).await?;
    match others.into_iter().find(|id| *id != setup.id) {
        Some(other) => Err(OperationError::DatabaseTaken(other)),
        None => Ok(()),
    }
}
