//! A tenancy's latest changed rows: keys to explain, for whoever has none at hand.

use lockstep_core::TenancyId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{Target, explain};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::shown::{self, ShownKey};

/// How many of them are told.
const LATEST: u32 = 10;

/// A row that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChangedRow {
    /// Of which mapping.
    pub mapping: String,
    /// The number of its last change.
    pub sequence: i64,
    /// Its key, as it may be shown.
    pub key: ShownKey,
    /// Its key as [`explain`](super::explain) takes it; none where a text is part of it, which is not shown.
    pub typed: Option<String>,
}

/// The latest changed rows of a tenancy, the last one first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn latest_changes(
    deployment: &Deployment<'_>,
    tenancy: TenancyId,
) -> Result<Vec<ChangedRow>, OperationError> {
    let mappings: Vec<&Mapping> = deployment.mappings.iter().collect();
    if mappings.is_empty() {
        return Ok(Vec::new());
    }
    let sql = explain::latest(mappings.iter().copied(), tenancy, LATEST);
    let rows = deployment.client.query(&sql, &[]).await?;
    let changed = rows.iter().filter_map(|row| {
        let (sequence, target, key): (i64, i32, Vec<String>) = (row.get(0), row.get(1), row.get(2));
        let mapping = mappings.iter().find(|mapping| Target::row(mapping).id() == target)?;
        let is_plain = mapping.key_columns().all(|column| shown::is_plain(column.column_type.base));
        Some(ChangedRow {
            mapping: mapping.name.to_string(),
            sequence,
            key: shown::key(mapping, &key),
            typed: is_plain.then(|| key.join(",")),
        })
    });
    Ok(changed.collect())
}
