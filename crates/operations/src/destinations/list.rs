//! Showing tenants' destinations.

use std::collections::BTreeMap;

use lockstep_core::TenancyId;
use lockstep_schema::Control;
use lockstep_schema::pauses::{self, PausedPart};
use lockstep_schema::tenant_destinations::mappings::{self as mapping_states, TenantMapping};
use lockstep_schema::tenant_destinations::{self as registry, TenantDestination};
use serde::Serialize;
use uuid::Uuid;

use super::{DestinationEntry, must_find};
use crate::deployment::Deployment;
use crate::error::OperationError;

/// Destinations whose mappings are asked for at once.
const AT_ONCE: usize = 500;

/// All destinations, or those of a tenancy.
#[derive(Serialize, Debug)]
pub struct DestinationsReport {
    /// In the order in which they were added.
    pub destinations: Vec<DestinationEntry>,
}

/// A destination with its mappings.
#[derive(Serialize, Debug)]
pub struct DestinationDetail {
    /// The same as in a list.
    #[serde(flatten)]
    pub entry: DestinationEntry,
    /// Mappings that were looked at, or are to be filled.
    pub mapping_states: Vec<TenantMappingEntry>,
}

/// A mapping of a destination.
#[derive(Serialize, Debug)]
pub struct TenantMappingEntry {
    /// Its name.
    pub name: String,
    /// `filling`, `streaming` or `stopped`.
    pub state: &'static str,
    /// Why the last fill was begun.
    pub fill_reason: Option<String>,
    /// Rows that it has shipped.
    pub filled_rows: i64,
    /// Of about how many.
    pub total_rows: Option<i64>,
    /// When it ended.
    pub filled_at: Option<String>,
    /// Since when it is to be filled again; none where it is not.
    pub refill_requested_at: Option<String>,
    /// The code of what it is stopped by.
    pub error_code: Option<String>,
    /// What it is stopped by.
    pub error: Option<String>,
}

impl From<TenantMapping> for TenantMappingEntry {
    fn from(mapping: TenantMapping) -> Self {
        Self {
            name: mapping.mapping,
            state: mapping.state.as_str(),
            fill_reason: mapping.fill_reason,
            filled_rows: mapping.filled_rows,
            total_rows: mapping.total_rows,
            filled_at: mapping.filled_at,
            refill_requested_at: mapping.refill_requested_at,
            error_code: mapping.error_code,
            error: mapping.error,
        }
    }
}

/// Shows all tenants' destinations, or those of a tenancy.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn list_destinations(
    deployment: &Deployment<'_>,
    of: Option<TenancyId>,
) -> Result<DestinationsReport, OperationError> {
    let control = deployment.control()?;
    let found = registry::list(control, of).await?;
    Ok(DestinationsReport { destinations: entries(control, found).await? })
}

/// Shows one with its mappings.
///
/// # Errors
/// When there is no such destination, or Postgres cannot be asked.
pub async fn show_destination(deployment: &Deployment<'_>, id: Uuid) -> Result<DestinationDetail, OperationError> {
    let (control, found) = (deployment.control()?, must_find(deployment, id).await?);
    let mapping_states = mapping_states::of(control, &[id]).await?;
    let paused = pauses::paused(control).await?;
    let entry = DestinationEntry::of(found, &mapping_states, &paused);
    Ok(DestinationDetail { entry, mapping_states: mapping_states.into_iter().map(Into::into).collect() })
}

/// What is told of each of these, in their order.
pub(crate) async fn entries(
    control: &Control,
    destinations: Vec<TenantDestination>,
) -> Result<Vec<DestinationEntry>, OperationError> {
    let paused: Vec<PausedPart> = pauses::paused(control).await?;
    let mut entries = Vec::with_capacity(destinations.len());
    for some in destinations.chunks(AT_ONCE) {
        let ids: Vec<_> = some.iter().map(|destination| destination.setup.id).collect();
        let mut states: BTreeMap<Uuid, Vec<TenantMapping>> = BTreeMap::new();
        for mapping in mapping_states::of(control, &ids).await? {
            states.entry(mapping.destination).or_default().push(mapping);
        }
        entries.extend(some.iter().map(|destination| {
            let states = states.remove(&destination.setup.id).unwrap_or_default();
            DestinationEntry::of(destination.clone(), &states, &paused)
        }));
    }
    Ok(entries)
}
