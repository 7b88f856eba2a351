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

/// Rows in quarantine that failed alike.
#[derive(Serialize, Debug)]
pub struct QuarantineGroup {
    /// Who refused them.
    pub destination: String,
    /// Their mapping.
    pub mapping: String,
    /// The error's code.
    pub code: String,
    /// The error, without values of rows.
    pub error: String,
    /// How many.
    pub rows: i64,
    /// Of how many tenancies.
    pub tenancies: i64,
    /// When the first was refused, in UTC.
    pub first_refused_at: String,
    /// When the last was refused, in UTC.
    pub last_refused_at: String,
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
    quarantined_some(deployment, scope, i64::MAX).await
}

/// The same, of each mapping of each destination at most so many.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn quarantined_some(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
    limit: i64,
) -> Result<QuarantineReport, OperationError> {
    let mut entries = Vec::new();
    let tenancy = scope.tenancy.map(|id| id.as_uuid());
    for (destination, mapping) in places(deployment, scope).await? {
        let sql = quarantine::entries(mapping);
        let rows = deployment.client.query(&sql, &[&destination, &tenancy, &limit]).await?;
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

/// How many rows that is, counted to the last.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn quarantine_count(deployment: &Deployment<'_>, scope: &QuarantineScope) -> Result<i64, OperationError> {
    Ok(lockstep_schema::quarantine::count(deployment.control()?, scope).await?)
}

/// Rows that are looked through for groups, and groups that are told of.
const GROUPED: (i64, i64) = (100_000, 100);

/// Rows in quarantine by what was wrong with them, the most first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn quarantine_groups(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<Vec<QuarantineGroup>, OperationError> {
    const GROUPS: &str = "SELECT destination, mapping_name, code, error, count(*), count(DISTINCT tenancy_id),
  to_char(min(first_refused_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(max(last_refused_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
FROM (SELECT * FROM lockstep.quarantine WHERE ($1::text IS NULL OR destination = $1) AND ($2::text IS NULL OR mapping_name = $2)
  AND ($3::uuid IS NULL OR tenancy_id = $3) LIMIT $4) q GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT $5";
    deployment.control()?;
    let destination = scope.destination.as_ref().map(DestinationId::as_str);
    let mapping = scope.mapping.as_ref().map(|name| name.as_str());
    let tenancy = scope.tenancy.map(|id| id.as_uuid());
    let (looked_through, told) = GROUPED;
    let rows = deployment.client.query(GROUPS, &[&destination, &mapping, &tenancy, &looked_through, &told]).await?;
    let group = |row: &tokio_postgres::Row| QuarantineGroup {
        destination: row.get(0),
        mapping: row.get(1),
        code: row.get(2),
        error: row.get(3),
        rows: row.get(4),
        tenancies: row.get(5),
        first_refused_at: row.get(6),
        last_refused_at: row.get(7),
    };
    Ok(rows.iter().map(group).collect())
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
