//! One tenant: how far each of its mappings is in ClickHouse and in its own databases.

use std::collections::BTreeMap;

use lockstep_core::remedy::told;
use lockstep_core::{Location, TenancyId};
use lockstep_destinations::{Destination, Selection};
use lockstep_mappings::postgres::Target;
use lockstep_schema::erasures::{self, OwnReceipt};
use lockstep_schema::pauses::PausedPart;
use lockstep_schema::tenant_destinations as registry;
use serde::Serialize;
use uuid::Uuid;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::destinations::{DestinationDetail, show_destination};
use crate::error::OperationError;
use crate::explain::Place;
use crate::pause::paused_parts;
use crate::shown;
use crate::tenancies::{locations, places};

/// Changes of a mapping that are counted.
const BEHIND_LIMIT: i64 = 10_000;
/// Its own databases that are shown.
const DESTINATIONS: usize = 20;

/// What is told of a tenant.
#[derive(Serialize, Debug)]
pub struct TenantReport {
    /// Its id.
    pub tenancy: Uuid,
    /// Where it lives; none where it is gone.
    pub place: Option<Place>,
    /// Where else it has been.
    pub former_places: Vec<Place>,
    /// Why ClickHouse could not be asked for cursors.
    pub unreachable: Option<String>,
    /// Each mapping in ClickHouse.
    pub mappings: Vec<TenantMappingProgress>,
    /// Changes are counted up to this.
    pub behind_limit: i64,
    /// Its own databases, some of them.
    pub destinations: Vec<DestinationDetail>,
    /// What pauses all of it, or a part.
    pub paused: Vec<PausedPart>,
    /// Erasures of its rows.
    pub erasures: Vec<OwnReceipt>,
}

/// How far a tenant's mapping is in ClickHouse.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct TenantMappingProgress {
    /// Its name.
    pub mapping: String,
    /// In one word.
    pub state: ProgressState,
    /// Through which number ClickHouse holds it; none before its first change, and where ClickHouse could not be asked.
    pub cursor: Option<i64>,
    /// The number of its last change that is still known.
    pub last_change: Option<i64>,
    /// Its changes above the cursor; none where that is unknown.
    pub behind: Option<i64>,
    /// Its rows that ClickHouse refused, or the source could not give.
    pub quarantined: i64,
}

/// How a tenant's mapping is. Of several, the first.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum ProgressState {
    /// Nothing of the mapping is shipped until it is resumed.
    Paused,
    /// ClickHouse could not be asked, or its cursor is ahead of the source (LS-0420) and says nothing.
    Unknown,
    /// Rows were refused.
    RowsRefused,
    /// ClickHouse has not passed all changes.
    Behind,
    /// It has.
    InStep,
}

impl ProgressState {
    /// As it is shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Unknown => "unknown",
            Self::RowsRefused => "rows refused",
            Self::Behind => "behind",
            Self::InStep => "in step",
        }
    }
}

/// The last change and those above the cursor, of the targets `$2 int[]` of the tenancy `$1 uuid`, whose cursors are `$3 bigint[]`.
const CHANGES: &str = "SELECT w.target,
  (SELECT c.sequence FROM lockstep.change c WHERE c.tenancy_id = $1 AND c.mapping = w.target ORDER BY c.sequence DESC LIMIT 1),
  (SELECT count(*) FROM (SELECT FROM lockstep.change c WHERE c.tenancy_id = $1 AND c.mapping = w.target AND c.sequence > w.cursor LIMIT $4) b)
FROM unnest($2::int[], $3::bigint[]) AS w(target, cursor)";

const QUARANTINED: &str = "SELECT q.mapping_name, count(*) FROM (
  SELECT mapping_name FROM lockstep.quarantine WHERE destination = $1 AND tenancy_id = $2 LIMIT $3) q GROUP BY 1";

/// Tells of a tenant.
///
/// # Errors
/// When nothing is known of the tenancy, or Postgres cannot be asked. A ClickHouse that cannot be asked is part of the report.
pub async fn tenant(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<TenantReport, OperationError> {
    let (client, control) = (&deployment.client, deployment.control()?);
    let lives_at = locations(client, &[tenancy]).await?.remove(&tenancy);
    let known = places(client, &[tenancy]).await?;
    let erasures = erasures::of_tenancy(control, tenancy).await?;
    if known.is_empty() && erasures.is_empty() {
        return Err(OperationError::UnknownTenancy(tenancy));
    }
    let former_places = known.iter().filter(|place| Some(*place) != lives_at.as_ref()).map(place).collect();
    let paused = paused_parts(deployment).await?;
    let (unreachable, mappings) = progress(deployment, tenancy, &paused).await?;
    let mut destinations = Vec::new();
    for found in registry::list(control, Some(tenancy)).await?.into_iter().take(DESTINATIONS) {
        destinations.push(show_destination(deployment, found.setup.id).await?);
    }
    let holds = |part: &PausedPart| match part.kind.as_str() {
        "tenancy" => part.name == tenancy.to_string(),
        "destination" => {
            part.name == DESTINATION || destinations.iter().any(|one| one.entry.id.to_string() == part.name)
        }
        _ => true,
    };
    Ok(TenantReport {
        tenancy: tenancy.as_uuid(),
        place: lives_at.as_ref().map(place),
        former_places,
        unreachable,
        mappings,
        behind_limit: BEHIND_LIMIT,
        paused: paused.into_iter().filter(holds).collect(),
        destinations,
        erasures,
    })
}

fn place(location: &Location) -> Place {
    Place { project_id: shown::id(&location.project_id), branch_id: shown::id(&location.branch_id) }
}

/// Each mapping; and why ClickHouse could not be asked, where that is so.
async fn progress(
    deployment: &Deployment<'_>,
    tenancy: TenancyId,
    paused: &[PausedPart],
) -> Result<(Option<String>, Vec<TenantMappingProgress>), OperationError> {
    let client = &deployment.client;
    let names = deployment.mapping_names();
    let asked = async {
        Ok::<_, OperationError>(
            deployment
                .answering_clickhouse()
                .await?
                .cursors(Selection::These(&[tenancy]), Selection::These(&names))
                .await?,
        )
    };
    let (unreachable, cursors) = match asked.await {
        Ok(cursors) => (None, cursors),
        Err(error) => (Some(told(&error.to_string(), deployment.settings)), BTreeMap::default().into_iter().collect()),
    };
    let source_at = deployment.last_sequence().await?.get();
    let cursor = |name| cursors.get(&(tenancy, name)).map(|cursor| cursor.get());
    let targets: Vec<i32> = deployment.mappings.iter().map(|mapping| Target::row(mapping).id()).collect();
    let above: Vec<i64> = names.iter().map(|name| cursor(name.clone()).unwrap_or(0)).collect();
    let changes = client.query(CHANGES, &[&tenancy.as_uuid(), &targets, &above, &BEHIND_LIMIT]).await?;
    let refused = client.query(QUARANTINED, &[&DESTINATION, &tenancy.as_uuid(), &BEHIND_LIMIT]).await?;
    let progress = |mapping: &lockstep_mappings::Mapping| {
        let (name, target) = (mapping.name.as_str(), Target::row(mapping).id());
        let change = changes.iter().find(|row| row.get::<_, i32>(0) == target);
        let refused = refused.iter().find(|row| row.get::<_, String>(0) == name);
        let cursor = cursor(mapping.name.clone());
        let is_known = unreachable.is_none() && cursor.is_none_or(|cursor| cursor <= source_at);
        let behind = is_known.then(|| change.map_or(0, |row| row.get(2)));
        let quarantined = refused.map_or(0, |row| row.get(1));
        let state = match (quarantined, behind) {
            _ if paused.iter().any(|part| part.kind == "mapping" && part.name == name) => ProgressState::Paused,
            (_, None) => ProgressState::Unknown,
            (0, Some(0)) => ProgressState::InStep,
            (0, Some(_)) => ProgressState::Behind,
            _ => ProgressState::RowsRefused,
        };
        TenantMappingProgress {
            mapping: name.to_owned(),
            state,
            cursor,
            last_change: change.and_then(|row| row.get(1)),
            behind,
            quarantined,
        }
    };
    let mappings = deployment.mappings.iter().map(progress).collect();
    Ok((unreachable, mappings))
}
