//! Rows that a destination refused: showing them, shipping them again, forgetting them.

use lockstep_core::DestinationId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{Target, inbox, quarantine};
pub use lockstep_schema::quarantine::QuarantineScope;
use lockstep_schema::quarantine::forget;
use serde::Serialize;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::destinations::Named;
use crate::error::OperationError;

/// Destinations and mappings of which rows are in quarantine. One that no definition has any more is passed over.
async fn places<'a>(
    deployment: &Deployment<'a>,
    scope: &QuarantineScope,
) -> Result<Vec<(String, &'a Mapping)>, OperationError> {
    if let Some(name) = &scope.mapping {
        deployment.must_have_mapping(name.as_str())?;
    }
    let places = lockstep_schema::quarantine::places(deployment.control()?, scope).await?;
    let mapping = |name: &str| deployment.mappings.iter().find(|mapping| mapping.name.as_str() == name);
    Ok(places.into_iter().filter_map(|(destination, name)| Some((destination, mapping(&name)?))).collect())
}

/// The destination that an operator has named, for [`QuarantineScope::destination`].
///
/// # Errors
/// When it cannot be one.
pub fn quarantine_of(name: &str) -> Result<DestinationId, OperationError> {
    Ok(match Named::parse(name)? {
        Named::ClickHouse => DestinationId::clickhouse(),
        Named::Tenants(id) => DestinationId::tenant(id),
    })
}

/// A row in quarantine.
#[derive(Serialize, Debug)]
pub struct QuarantineEntry {
    /// Who refused it.
    pub destination: String,
    /// Its mapping.
    pub mapping: String,
    /// Whose it is.
    pub tenancy: String,
    /// The number of the change that named it.
    pub sequence: i64,
    /// By destination column.
    pub key: serde_json::Value,
    /// The error's code.
    pub code: String,
    /// The error, without values of the row.
    pub error: String,
    /// When it was refused for the first time, in UTC.
    pub first_refused_at: String,
    /// When it was refused for the last time, in UTC.
    pub last_refused_at: String,
    /// How often.
    pub attempts: i64,
}

/// The rows in quarantine.
#[derive(Serialize, Debug)]
pub struct QuarantineReport {
    /// By destination, mapping, tenancy and number.
    pub entries: Vec<QuarantineEntry>,
}

/// How many rows were shipped again, or forgotten.
#[derive(Serialize, Debug)]
pub struct QuarantinedRows {
    /// That many.
    pub rows: u64,
}

/// The rows in quarantine, with their keys and errors.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn quarantined(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantineReport, OperationError> {
    let mut entries = Vec::new();
    let tenancy = scope.tenancy.map(|id| id.as_uuid());
    for (destination, mapping) in places(deployment, scope).await? {
        let sql = quarantine::entries(mapping);
        let rows = deployment.client.query(&sql, &[&destination, &tenancy, &i64::MAX]).await?;
        entries.extend(rows.iter().map(|row| QuarantineEntry {
            destination: destination.clone(),
            mapping: mapping.name.to_string(),
            tenancy: row.get::<_, Uuid>(0).to_string(),
            sequence: row.get(1),
            key: row.get(2),
            code: row.get(3),
            error: row.get(4),
            first_refused_at: row.get(5),
            last_refused_at: row.get(6),
            attempts: row.get(7),
        }));
    }
    Ok(QuarantineReport { entries })
}

/// Has the rows numbered and shipped anew.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn retry_quarantined(
    deployment: &mut Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantinedRows, OperationError> {
    let (places, tenancy) = (places(deployment, scope).await?, scope.tenancy.map(|id| id.as_uuid()));
    let transaction = deployment.client.transaction().await?;
    let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.get(0);
    let sql = quarantine::retry(inbox::inbox_of(xid));
    let mut rows = 0;
    for (destination, mapping) in places {
        let (name, target) = (mapping.name.as_str(), Target::row(mapping).id());
        rows += transaction.execute(&sql, &[&destination, &name, &target, &tenancy]).await?;
    }
    transaction.commit().await?;
    Ok(QuarantinedRows { rows })
}

/// Forgets the rows without shipping them. The destination does not hold them.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn drop_quarantined(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantinedRows, OperationError> {
    places(deployment, scope).await?;
    let forgotten = forget(deployment.control()?, scope).await?;
    Ok(QuarantinedRows { rows: forgotten as u64 })
}
