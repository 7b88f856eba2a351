//! The quarantine as the operator's commands read and change it.

use std::collections::HashMap;

use lockstep_core::TenancyId;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::quarantine;
use lockstep_schema::SourceError;
use serde::Serialize;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::Scope;
use crate::error::CliError;

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
    /// `row`, `tombstone`, or `gone` where nothing carries the number any more.
    pub(super) kind: &'static str,
    /// By destination column.
    pub(super) key: Option<serde_json::Value>,
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

/// The entries, each with the key that its number belongs to now.
pub(super) async fn entries(client: &Client, mappings: &MappingSet, scope: &Scope) -> Result<Vec<Entry>, CliError> {
    let time = |column: &str| format!("to_char({column}, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let sql = format!(
        "SELECT destination, mapping_name, tenancy_id, sequence, code, error, {}, {}, attempts {IN_SCOPE} ORDER BY 1, 2, 3, 4",
        time("first_refused_at"),
        time("last_refused_at")
    );
    let (mapping, tenancy) = parameters(scope);
    let rows = client.query(&sql, &[&mapping, &tenancy]).await.map_err(source)?;
    let mut entries: Vec<_> = rows
        .iter()
        .map(|row| Entry {
            destination: row.get(0),
            mapping: row.get(1),
            tenancy: row.get::<_, Uuid>(2).to_string(),
            sequence: row.get(3),
            kind: "gone",
            key: None,
            code: row.get(4),
            error: row.get(5),
            first_refused_at: row.get(6),
            last_refused_at: row.get(7),
            attempts: row.get(8),
        })
        .collect();
    for mapping in mappings.iter() {
        let of_mapping = rows.iter().filter(|row| row.get::<_, &str>(1) == mapping.name.as_str());
        let (tenancies, numbers): (Vec<Uuid>, Vec<i64>) =
            of_mapping.map(|row| (row.get::<_, Uuid>(2), row.get::<_, i64>(3))).unzip();
        if tenancies.is_empty() {
            continue;
        }
        // As text: the client library reads JSON only with a feature that nothing else needs.
        let sql =
            format!("SELECT tenancy_id, sequence, is_tombstone, key::text FROM ({}) c", quarantine::carried(mapping));
        let carried = client.query(&sql, &[&tenancies, &numbers]).await.map_err(source)?;
        let carried: HashMap<(String, i64), (bool, String)> = carried
            .iter()
            .map(|row| ((row.get::<_, Uuid>(0).to_string(), row.get(1)), (row.get(2), row.get(3))))
            .collect();
        for entry in entries.iter_mut().filter(|entry| entry.mapping == mapping.name.as_str()) {
            if let Some((is_tombstone, key)) = carried.get(&(entry.tenancy.clone(), entry.sequence)) {
                entry.kind = if *is_tombstone { "tombstone" } else { "row" };
                entry.key = serde_json::from_str(key).ok();
            }
        }
    }
    Ok(entries)
}

/// Flags the rows and tombstones of the entries, so that they are stamped and shipped anew.
pub(super) async fn flag(client: &mut Client, mappings: &MappingSet, scope: &Scope) -> Result<u64, CliError> {
    let (name, tenancy) = parameters(scope);
    let transaction = client.transaction().await.map_err(source)?;
    let mut flagged = 0;
    for mapping in mappings.iter().filter(|mapping| name.is_none_or(|name| mapping.name.as_str() == name)) {
        let sql = format!("SELECT tenancy_id, sequence {IN_SCOPE} ORDER BY 1, 2");
        let rows = transaction.query(&sql, &[&mapping.name.as_str(), &tenancy]).await.map_err(source)?;
        if rows.is_empty() {
            continue;
        }
        let (tenancies, numbers): (Vec<Uuid>, Vec<i64>) =
            rows.iter().map(|row| (row.get::<_, Uuid>(0), row.get::<_, i64>(1))).unzip();
        for statement in quarantine::flag(mapping) {
            flagged += transaction.execute(&statement, &[&tenancies, &numbers]).await.map_err(source)?;
        }
    }
    transaction.commit().await.map_err(source)?;
    Ok(flagged)
}

/// Deletes the entries.
pub(super) async fn forget(client: &Client, scope: &Scope) -> Result<u64, CliError> {
    let (mapping, tenancy) = parameters(scope);
    client.execute(&format!("DELETE {IN_SCOPE}"), &[&mapping, &tenancy]).await.map_err(source)
}
