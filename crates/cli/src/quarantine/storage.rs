//! The quarantine as the operator's commands read and change it.

use lockstep_core::TenancyId;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{Target, inbox, quarantine};
use serde::Serialize;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::Scope;
use crate::error::CliError;
use crate::fusebox::DESTINATION;

/// Entries of the mapping `$1 text?` and the tenancy `$2 uuid?`.
const IN_SCOPE: &str =
    "FROM lockstep.quarantine WHERE ($1::text IS NULL OR mapping_name = $1) AND ($2::uuid IS NULL OR tenancy_id = $2)";

/// A row in quarantine.
#[derive(Clone, Serialize)]
pub(super) struct Entry {
    pub(super) destination: String,
    pub(super) mapping: String,
    pub(super) tenancy: String,
    pub(super) sequence: i64,
    /// By destination column.
    pub(super) key: serde_json::Value,
    pub(super) code: String,
    pub(super) error: String,
    /// UTC.
    pub(super) first_refused_at: String,
    pub(super) last_refused_at: String,
    pub(super) attempts: i64,
}

fn source(error: Error) -> CliError {
    CliError::unless_migrated(error.into())
}

fn parameters(scope: &Scope) -> (Option<&str>, Option<Uuid>) {
    (scope.mapping.as_ref().map(lockstep_core::MappingName::as_str), scope.tenant.map(|tenancy| tenancy.as_uuid()))
}

/// How many rows are in quarantine, of one tenancy or of all.
pub(crate) async fn count(client: &Client, tenancy: Option<TenancyId>) -> Result<i64, CliError> {
    let scope = Scope { mapping: None, tenant: tenancy };
    let (mapping, tenancy) = parameters(&scope);
    let row = client.query_one(&format!("SELECT count(*) {IN_SCOPE}"), &[&mapping, &tenancy]).await;
    Ok(row.map_err(source)?.get(0))
}

/// The entries, with their keys.
pub(super) async fn entries(client: &Client, mappings: &MappingSet, scope: &Scope) -> Result<Vec<Entry>, CliError> {
    let (name, tenancy) = parameters(scope);
    let mut entries = Vec::new();
    for mapping in mappings.iter().filter(|mapping| name.is_none_or(|name| mapping.name.as_str() == name)) {
        let rows = client.query(&quarantine::entries(mapping), &[&DESTINATION, &tenancy, &i64::MAX]).await;
        entries.extend(rows.map_err(source)?.iter().map(|row| Entry {
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
    Ok(entries)
}

/// Has the rows of the entries numbered and shipped anew. Returns how many.
pub(super) async fn retry(client: &mut Client, mappings: &MappingSet, scope: &Scope) -> Result<u64, CliError> {
    let (name, tenancy) = parameters(scope);
    let transaction = client.transaction().await.map_err(source)?;
    let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await.map_err(source)?.get(0);
    let sql = quarantine::retry(inbox::inbox_of(xid));
    let mut rows = 0;
    for mapping in mappings.iter().filter(|mapping| name.is_none_or(|name| mapping.name.as_str() == name)) {
        let target = Target::row(mapping).id();
        let written = transaction.execute(&sql, &[&DESTINATION, &mapping.name.as_str(), &target, &tenancy]).await;
        rows += written.map_err(source)?;
    }
    transaction.commit().await.map_err(source)?;
    Ok(rows)
}

/// Deletes the entries.
pub(super) async fn forget(client: &Client, scope: &Scope) -> Result<u64, CliError> {
    let (mapping, tenancy) = parameters(scope);
    client.execute(&format!("DELETE {IN_SCOPE}"), &[&mapping, &tenancy]).await.map_err(source)
}
