//! What is known of ClickHouse and a mapping before a key is looked at: where its rows go, its fill, and what is paused.

use lockstep_core::remedy::told;
use lockstep_core::{DestinationId, TenancyId};
use lockstep_destinations::ClickHouse;
use lockstep_mappings::Mapping;
use lockstep_schema::pauses::PausedPart;
use lockstep_schema::{definitions, fills, progress};

use super::report::{Fill, FillState};
use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::pause::paused_parts;

/// ClickHouse where it answers, or why it does not and what mends that. It is asked once: each further question to one that hangs
/// would take its time.
pub(super) type Reached = Result<ClickHouse, String>;

/// Asks ClickHouse whether it is there.
pub(super) async fn reach(deployment: &Deployment<'_>) -> Reached {
    deployment.answering_clickhouse().await.map_err(|error| told(&error.to_string(), deployment.settings))
}

/// ClickHouse and a mapping there, and what is paused anywhere.
pub(super) struct Placed {
    /// With the mapping as its rows go there at the moment; or why neither can be used.
    clickhouse: Result<(ClickHouse, Mapping), String>,
    /// Somebody has asked for the mapping to be filled again, everywhere.
    pub(super) is_refilled: bool,
    pub(super) fill: Fill,
    paused: Vec<PausedPart>,
}

impl Placed {
    pub(super) async fn read(
        deployment: &Deployment<'_>,
        mapping: &Mapping,
        reached: &Reached,
    ) -> Result<Self, OperationError> {
        let (control, id) = (deployment.control()?, DestinationId::clickhouse());
        let recorded = definitions::recorded(&deployment.client, DESTINATION).await?;
        let clickhouse = match recorded.get(mapping.name.as_str()) {
            Some(found) if found.is_of(mapping) => {
                let placed = if found.is_beside { mapping.beside() } else { mapping.clone() };
                reached.clone().map(|clickhouse| (clickhouse, placed))
            }
            _ => Err("the mapping is set up otherwise than its definition says; run `lockstep migrate`".to_owned()),
        };
        let unfinished = fills::unfinished(control, &id, &[mapping.name.as_str()]).await?;
        let last = fills::statuses(control, &id).await?.into_iter().find(|fill| fill.mapping == mapping.name.as_str());
        let is_finished = last.as_ref().is_some_and(|fill| fill.is_finished);
        let is_refilled = is_finished && !unfinished.is_empty();
        let state = match last {
            None => FillState::WaitsForFill,
            Some(_) if is_refilled || progress::needs_refill(control, &id).await? => FillState::WaitsForFill,
            Some(_) if is_finished => FillState::Filled,
            Some(_) => FillState::Filling,
        };
        let fill = Fill { state, error: None };
        Ok(Self { clickhouse, is_refilled, fill, paused: paused_parts(deployment).await? })
    }

    /// ClickHouse, and the mapping as its rows go there; or why it cannot be looked at.
    pub(super) fn usable(&self) -> Result<(&ClickHouse, &Mapping), String> {
        self.clickhouse.as_ref().map(|(clickhouse, mapping)| (clickhouse, mapping)).map_err(Clone::clone)
    }

    /// Whether changes get no numbers.
    pub(super) fn sequencer_paused(&self) -> Option<PausedPart> {
        self.paused.iter().find(|part| part.kind == "sequencer").cloned()
    }

    /// What keeps the rows of a tenancy's mapping from a destination.
    pub(super) fn paused(&self, to: &DestinationId, tenancy: TenancyId, mapping: &Mapping) -> Vec<PausedPart> {
        let holds = |part: &&PausedPart| match part.kind.as_str() {
            "workers" => true,
            "mapping" => part.name == mapping.name.as_str(),
            "destination" => part.name == to.as_str(),
            "tenancy" => part.name == tenancy.to_string(),
            _ => false,
        };
        self.paused.iter().filter(holds).cloned().collect()
    }
}
