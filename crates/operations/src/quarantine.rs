//! Rows that a destination refused: showing them, shipping them again, forgetting them.

use lockstep_core::{MappingName, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{Target, inbox, quarantine};
use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;

/// Entries of the mapping `$1 text?` and the tenancy `$2 uuid?`.
const IN_SCOPE: &str =
    "FROM lockstep.quarantine WHERE ($1::text IS NULL OR mapping_name = $1) AND ($2::uuid IS NULL OR tenancy_id = $2)";

/// Which entries are meant.
#[derive(Clone, Default, Debug)]
pub struct QuarantineScope {
    /// Those of one mapping; of all, where it is not given.
    pub mapping: Option<MappingName>,
    /// Those of one tenancy; of all, where it is not given.
    pub tenancy: Option<TenancyId>,
}

impl QuarantineScope {
    fn parameters(&self) -> (Option<&str>, Option<Uuid>) {
        (self.mapping.as_ref().map(MappingName::as_str), self.tenancy.map(|tenancy| tenancy.as_uuid()))
    }

    fn mappings<'a>(&self, deployment: &Deployment<'a>) -> Result<Vec<&'a Mapping>, OperationError> {
        let Some(name) = &self.mapping else { return Ok(deployment.mappings.iter().collect()) };
        deployment.must_have_mapping(name.as_str())?;
        Ok(deployment.mappings.get(name).into_iter().collect())
    }
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
    /// By mapping, tenancy and number.
    pub entries: Vec<QuarantineEntry>,
}

/// How many rows were shipped again, or forgotten.
#[derive(Serialize, Debug)]
pub struct QuarantinedRows {
    /// That many.
    pub rows: u64,
}

/// How many rows are in quarantine.
pub(crate) async fn count(client: &Client, scope: &QuarantineScope) -> Result<i64, OperationError> {
    let (mapping, tenancy) = scope.parameters();
    Ok(client.query_one(&format!("SELECT count(*) {IN_SCOPE}"), &[&mapping, &tenancy]).await?.get(0))
}

/// The rows in quarantine, with their keys and errors.
///
/// # Errors
/// When there is no such mapping, or Postgres cannot be asked.
pub async fn quarantined(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantineReport, OperationError> {
    let (_, tenancy) = scope.parameters();
    let mut entries = Vec::new();
    for mapping in scope.mappings(deployment)? {
        let sql = quarantine::entries(mapping);
        let rows = deployment.client.query(&sql, &[&DESTINATION, &tenancy, &i64::MAX]).await?;
        entries.extend(rows.iter().map(|row| QuarantineEntry {
            destination: DESTINATION.to_owned(),
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
    let (mappings, (_, tenancy)) = (scope.mappings(deployment)?, scope.parameters());
    let transaction = deployment.client.transaction().await?;
    let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.get(0);
    let sql = quarantine::retry(inbox::inbox_of(xid));
    let mut rows = 0;
    for mapping in mappings {
        let (name, target) = (mapping.name.as_str(), Target::row(mapping).id());
        rows += transaction.execute(&sql, &[&DESTINATION, &name, &target, &tenancy]).await?;
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
    scope.mappings(deployment)?;
    let (mapping, tenancy) = scope.parameters();
    let rows = deployment.client.execute(&format!("DELETE {IN_SCOPE}"), &[&mapping, &tenancy]).await?;
    Ok(QuarantinedRows { rows })
}
