//! Taking a destination away.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_schema::pauses::{self, Part};
use lockstep_schema::tenant_destinations as registry;
use serde::Serialize;
use uuid::Uuid;

use super::{mappings_of, must_find, postgres};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::progress::Progress;

/// Workers obey a pause within a second. What one writes after that was read above a cursor that is gone by then, so it
/// writes nothing.
const WORKERS_OBEY: Duration = Duration::from_secs(3);

/// What is to be taken away.
#[derive(Clone, Copy, Debug)]
pub struct RemoveDestinationRequest {
    /// Which destination.
    pub id: Uuid,
    /// Whether its tables go too, or stay as they are.
    pub drop_tables: bool,
}

/// What was taken away.
#[derive(Serialize, Debug)]
pub struct RemoveDestinationReport {
    /// Which destination.
    pub id: Uuid,
    /// Whose it was.
    pub tenancy: Uuid,
    /// Where it was.
    pub host: String,
    /// Its database.
    pub database: String,
    /// Whether its tables are gone too.
    pub tables_dropped: bool,
    /// Rows that were in them, by mapping; empty where they stay.
    pub removed_rows: BTreeMap<String, u64>,
}

/// Takes a destination away. With its tables, it is paused first, and stays paused where they cannot be dropped.
///
/// # Errors
/// When there is no such destination, its database cannot be reached or refuses, or Postgres cannot be asked.
pub async fn remove_destination(
    deployment: &mut Deployment<'_>,
    request: RemoveDestinationRequest,
    progress: Progress<'_>,
) -> Result<RemoveDestinationReport, OperationError> {
    let setup = must_find(deployment, request.id).await?.setup;
    let mut removed_rows = BTreeMap::new();
    if request.drop_tables {
        let postgres = postgres(deployment.settings, &setup)?;
        progress("the destination is being paused");
        let part = Part::Destination(setup.id.to_string());
        pauses::pause(deployment.control()?, &part, "lockstep destination remove").await?;
        tokio::time::sleep(WORKERS_OBEY).await;
        let removed = postgres.clear(&mappings_of(deployment.mappings, &setup), true).await?;
        removed_rows.extend(removed.into_iter().map(|(mapping, rows)| (mapping.to_string(), rows)));
    }
    registry::remove(deployment.control_mut()?, setup.id).await?;
    Ok(RemoveDestinationReport {
        id: setup.id,
        tenancy: setup.tenancy.as_uuid(),
        host: setup.address.host,
        database: setup.address.database,
        tables_dropped: request.drop_tables,
        removed_rows,
    })
}
