//! Whether tables and views in ClickHouse are in place.

use lockstep_core::remedy::remedy as remedy_of;
use lockstep_core::settings::Settings;
use lockstep_destinations::{ClickHouse, Failure, Provision, ProvisionError, TableAction, Wanted};
use lockstep_mappings::MappingSet;
use lockstep_operations::doctor::missing_rights;
use lockstep_schema::{Source, attach};

use super::{Check, or_ok};
use crate::error::CliError;
use crate::migrate::clickhouse::known;
use crate::migrate::sentence;

pub(super) const CHECK: &str = "ClickHouse";

pub(super) async fn look(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, CliError> {
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    clickhouse.ping().await?;
    let source = Source::of(settings)?;
    // Without the source it is not known whose tables they are: then they are taken for another system's.
    let live = attach::inspect_catalog(&source, mappings).await.unwrap_or_default();
    match clickhouse.plan(mappings, &known(&live, mappings, &Wanted::default())).await {
        Ok(plan) => {
            let differing = plan.changes.iter().map(|change| {
                let what = format!("{} differs from its definition: {}", change.table, change.differences.join("; "));
                Check::finding(CHECK, format!("{what}; {}", sentence(change.action)), remedy(change.action))
            });
            let missing = plan.steps.iter().map(|step| {
                let what = format!("to do: {}", step.what);
                Check::finding(CHECK, what, "`lockstep migrate`")
            });
            let mut findings: Vec<_> = differing.chain(missing).collect();
            findings.extend(kept_limits(&clickhouse).await?);
            findings.extend(missing_rights(CHECK, &clickhouse).await?);
            Ok(or_ok(CHECK, "tables and views are in place", findings))
        }
        Err(ProvisionError::Destination(error))
            if matches!(error.failure(), Failure::Outdated | Failure::Constrained) =>
        {
            Ok(vec![Check::finding(CHECK, error.to_string(), error.remedy())])
        }
        // All rights that are missing say more than what failed for the first of them.
        Err(ProvisionError::Destination(error)) => match missing_rights(CHECK, &clickhouse).await {
            Ok(lacking) if !lacking.is_empty() => Ok(lacking),
            _ => Err(error.into()),
        },
        // Their texts say what differs and what the ways out are.
        Err(error) => {
            let text = error.to_string();
            Ok(vec![match text.rsplit_once('\n') {
                Some((what, remedy)) => Check::finding(CHECK, what, remedy),
                None => Check::finding(CHECK, text.as_str(), remedy_of(&text, settings)),
            }])
        }
    }
}

/// Limits that the profile of Lockstep's user does not let go of.
async fn kept_limits(clickhouse: &ClickHouse) -> Result<Option<Check>, CliError> {
    let kept: Vec<_> =
        clickhouse.kept_limits().await?.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    Ok((!kept.is_empty()).then(|| {
        let what = format!("a statement fails that reaches a limit of the profile's: {}", kept.join(", "));
        Check::finding(CHECK, what, "give Lockstep's user a profile of its own, without these constraints")
    }))
}

const fn remedy(action: TableAction) -> &'static str {
    match action {
        TableAction::ColumnsKept => "`lockstep migrate --drop`, once nobody reads them in the raw table",
        TableAction::BeingBuilt => "nothing; if it lasts, see `lockstep status` and the log of a worker",
        _ => "`lockstep migrate`",
    }
}
