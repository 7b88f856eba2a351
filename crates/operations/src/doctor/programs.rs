//! What keeps programs from their work, which of them are missed, and whether ClickHouse is ahead of the source (SRC-1).

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_schema::instances::Instance;

use super::{Check, or_ok};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::programs::ProgramTrouble;
use crate::rewind::went_back;
use crate::status::in_postgres;

const CHECK: &str = "programs";
const NUMBERS: &str = "numbers";

pub(super) async fn look(
    settings: &Settings,
    mappings: &MappingSet,
    may_ask_clickhouse: bool,
) -> Result<Vec<Check>, OperationError> {
    let deployment = Deployment::connect_before_migrate(settings, mappings).await?;
    let (troubles, instances) = match deployment.control() {
        Ok(_) => in_postgres(&deployment).await.map(|status| (status.programs, status.instances))?,
        Err(_) => Default::default(),
    };
    let finding = |of: &ProgramTrouble| {
        let remedy = if of.is_source_that_went_back() { REWIND } else { &of.remedy };
        Check::finding(CHECK, &of.what, remedy)
    };
    let findings = troubles.iter().filter(|of| of.is_wrong).map(finding).collect();
    let mut checks =
        or_ok(CHECK, "nothing keeps those that run from their work, and nothing waits for one that does not", findings);
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
