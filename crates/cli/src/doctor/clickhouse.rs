//! Whether tables and views in ClickHouse are in place.

use lockstep_core::settings::Settings;
use lockstep_destinations::ClickHouse;
use lockstep_destinations::clickhouse::ping;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::Databases;

use super::{Check, or_ok};
use crate::error::CliError;
use crate::migrate::clickhouse::{Wanted, plan};

pub(super) const CHECK: &str = "ClickHouse";

pub(super) async fn look(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, CliError> {
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let databases = Databases::from(&settings.clickhouse);
    if let Err(error) = ping(&clickhouse).await {
        return Ok(vec![Check::unknown(CHECK, error.to_string(), "see docs/errors for the code")]);
    }
    let wanted = Wanted { replace_views: false, tenant_role: None };
    let steps = match plan(&clickhouse, mappings, &databases, wanted).await {
        Ok(steps) => steps,
        // Their texts say what differs and what the ways out are.
        Err(error @ (CliError::OtherShape(_) | CliError::NamesTaken(_))) => {
            let text = error.to_string();
            let (what, remedy) = text.rsplit_once('\n').unwrap_or((&text, "see docs/errors for the code"));
            return Ok(vec![Check::finding(CHECK, what, remedy)]);
        }
        Err(error) => return Err(error),
    };
    let missing = |what: &str| Check::finding(CHECK, format!("to do: {what}"), "`lockstep migrate`");
    Ok(or_ok(CHECK, "tables and views are in place", steps.iter().map(|step| missing(&step.what)).collect()))
}
