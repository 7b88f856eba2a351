//! What keeps programs from their work, and whether ClickHouse is ahead of the source (SRC-1).

use lockstep_core::remedy::remedy;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_schema::instances::{self, Instance};

use super::{Check, or_ok};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::rewind::went_back;

const CHECK: &str = "programs";
const NUMBERS: &str = "numbers";

pub(super) async fn look(
    settings: &Settings,
    mappings: &MappingSet,
    may_ask_clickhouse: bool,
) -> Result<Vec<Check>, OperationError> {
    let deployment = Deployment::connect_before_migrate(settings, mappings).await?;
    let instances = match deployment.control() {
        Ok(control) => instances::all(control).await?,
        Err(_) => Vec::new(),
    };
    let held_up = instances.iter().filter_map(|instance| Some((instance.trouble()?, instance.held_up()?)));
    let findings = held_up.map(|(what, held)| Check::finding(CHECK, what, remedy(&held.why, settings))).collect();
    let mut checks = or_ok(CHECK, "nothing keeps one that runs from its work", findings);
    // A sequencer that leads has asked before it gave out a number; what it found stands above.
    let leads = |instance: &Instance| instance.is_alive && instance.state["leads"] == true;
    if may_ask_clickhouse && !instances.iter().any(leads) {
        let clickhouse = deployment.clickhouse()?;
        checks.push(match went_back(&clickhouse, &deployment.client, &deployment.mapping_names()).await {
            Ok(Some(found)) => Check::finding(NUMBERS, found.to_string(), REWIND),
            Ok(None) => Check::ok(NUMBERS, "ClickHouse holds none that the source did not give out"),
            Err(error) => Check::failed(NUMBERS, &error, settings),
        });
    }
    Ok(checks)
}

const REWIND: &str = "`lockstep rewind`, after `lockstep migrate`; where this ClickHouse belongs to another source, set the right one instead";
