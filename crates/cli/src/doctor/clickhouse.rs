//! Whether tables and views in ClickHouse are in place.

use lockstep_core::settings::Settings;
use lockstep_destinations::{ClickHouse, Failure, Provision, ProvisionError};
use lockstep_mappings::MappingSet;

use super::{Check, or_ok};
use crate::error::CliError;

pub(super) const CHECK: &str = "ClickHouse";

pub(super) async fn look(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, CliError> {
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    match clickhouse.check(mappings).await {
        Ok(plan) => {
            let missing = plan.steps.iter().map(|step| {
                let what = format!("to do: {}", step.what);
                Check::finding(CHECK, what, "`lockstep migrate`")
            });
            Ok(or_ok(CHECK, "tables and views are in place", missing.collect()))
        }
        Err(ProvisionError::Destination(error)) if error.failure() == Failure::Outdated => {
            Ok(vec![Check::finding(CHECK, error.to_string(), error.remedy())])
        }
        Err(ProvisionError::Destination(error)) => Err(error.into()),
        // Their texts say what differs and what the ways out are.
        Err(error) => {
            let text = error.to_string();
            let (what, remedy) = text.rsplit_once('\n').unwrap_or((&text, "see docs/errors for the code"));
            Ok(vec![Check::finding(CHECK, what, remedy)])
        }
    }
}
