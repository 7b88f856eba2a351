//! What an action would do, in numbers.

use lockstep_core::TenancyId;
use lockstep_operations::{
    Deployment, OperationError, Part, Status, TenantReport, freshness, quarantine_count, quarantine_groups, settings,
    status, tenant,
};

use super::action::Action;
use crate::answer::Refusal;
use crate::figures::{at_least, counted, cut, whole};

/// What it would do. Asked when the form is opened, so that the numbers are those of now.
pub(super) async fn of(deployment: &Deployment<'_>, action: &Action) -> Result<String, Refusal> {
    Ok(match action {
        Action::Pause(part) => paused(deployment, part).await?,
        Action::Resume(part) => {
            let now = stands_still(&status(deployment).await?, part);
            format!("{now} What came meanwhile is shipped now.")
        }
        Action::ResyncMapping(name) => {
            let status = status(deployment).await?;
            let mapping = status.mappings.iter().find(|mapping| mapping.name == *name);
            let mapping = mapping.ok_or_else(|| Refusal::nothing(format!("There is no mapping {name}.")))?;
            format!(
                "All rows of {name} are read in {} and exported again: the last time there were {}. Readers see no gap. It goes on \
                 by itself after it has begun.",
                counted(mapping.fill_ranges, "range", "ranges"),
                counted(mapping.filled_rows, "row", "rows"),
            )
        }
        Action::ResyncTenant(id) => {
            let report = tenant(deployment, *id).await?;
            format!(
                "All rows of this tenant, and of those that share its project and branch, get changes anew in {} and are exported \
                 again; {} changes are on their way already. Readers see no gap.",
                counted(i64::try_from(report.mappings.len()).unwrap_or(0), "mapping", "mappings"),
                behind(&report),
            )
        }
        Action::Retry(rows) => {
            let scope = rows.scope()?;
            let groups = quarantine_groups(deployment, &scope).await?.groups;
            let count = quarantine_count(deployment, &scope).await?;
            format!(
                "{} of {} get changes anew, and are shipped as they are in Postgres then. What is refused again comes back.",
                counted(count, "row in quarantine", "rows in quarantine"),
                counted(i64::try_from(groups.len()).unwrap_or(0), "kind of error", "kinds of errors"),
            )
        }
        Action::Drop(rows, _) => {
            let count = quarantine_count(deployment, &rows.scope()?).await?;
            format!(
                "{} forgotten, without being shipped. The destination does not hold them: the verifier keeps reporting them as \
                 different.",
                counted(count, "row in quarantine is", "rows in quarantine are")
            )
        }
        Action::Erase(id, _) => erased(deployment, *id).await?,
        Action::Set(name, _) => {
            let all = settings(deployment).await?.settings;
            let setting = all.iter().find(|setting| setting.name == *name);
            let setting = setting.ok_or_else(|| Refusal::nothing(format!("There is no setting {name}.")))?;
            format!("It is {} now: {}. Every program follows by itself.", setting.value, setting.meaning)
        }
    })
}

async fn erased(deployment: &Deployment<'_>, id: TenancyId) -> Result<String, Refusal> {
    let report = tenant(deployment, id).await?;
    let first = if report.place.is_some() { "It still exists, so it is paused first. " } else { "" };
    Ok(format!(
        "{first}All rows of 1 tenant in {} are removed from ClickHouse and from {}, tombstones and old versions too. This \
         cannot be undone; a receipt is kept.",
        counted(i64::try_from(report.mappings.len()).unwrap_or(0), "mapping", "mappings"),
        counted(i64::try_from(report.destinations.len()).unwrap_or(0), "database of its own", "databases of its own"),
    ))
}

fn behind(report: &TenantReport) -> String {
    let behind: Option<i64> = report.mappings.iter().map(|mapping| mapping.behind).sum();
    behind.map_or_else(|| "an unknown number of".to_owned(), |behind| at_least(behind, report.behind_limit))
}

async fn paused(deployment: &Deployment<'_>, part: &Part) -> Result<String, Refusal> {
    const KEPT: &str = "Nothing is lost: changes made meanwhile are shipped when it is resumed.";
    Ok(match part {
        Part::Sequencer => {
            let status = status(deployment).await?;
            let lines = at_least(status.inbox_lines, status.count_limit);
            let all = whole(freshness(deployment).await?.tenancies);
            format!("No change of any of {all} tenants gets a number; {lines} lines wait already. {KEPT}")
        }
        Part::Workers => {
            let all = freshness(deployment).await?;
            format!(
                "Nothing of {} tenants is shipped anywhere; {} have news on the way. {KEPT}",
                whole(all.tenancies),
                cut(all.behind, all.behind_cut)
            )
        }
        Part::Mapping(name) => {
            let status = status(deployment).await?;
            let mapping = status.mappings.iter().find(|mapping| mapping.name == *name);
            let mapping = mapping.ok_or_else(|| Refusal::nothing(format!("There is no mapping {name}.")))?;
            let all = whole(freshness(deployment).await?.tenancies);
            format!(
                "{name} of {all} tenants stands still in every destination; {} have changes of it on the way. {KEPT}",
                cut(mapping.tenancies_behind, status.behind_cut)
            )
        }
        Part::Destination(name) => {
            let all = freshness(deployment).await?;
            format!(
                "Nothing is shipped to {name}; {} tenants have news on the way to ClickHouse. {KEPT}",
                cut(all.behind, all.behind_cut)
            )
        }
        Part::Tenancy(id) => {
            let report = tenant(deployment, *id).await?;
            if report.place.is_none() {
                return Err(OperationError::UnknownTenancy(*id).into());
            }
            format!(
                "1 tenant with {} stands still in ClickHouse and in {}; {} changes are on their way. While it is paused nothing is \
                 filled either. {KEPT}",
                counted(i64::try_from(report.mappings.len()).unwrap_or(0), "mapping", "mappings"),
                counted(
                    i64::try_from(report.destinations.len()).unwrap_or(0),
                    "database of its own",
                    "databases of its own"
                ),
                behind(&report),
            )
        }
    })
}

/// Whether a part is paused, since when and why.
fn stands_still(status: &Status, part: &Part) -> String {
    let found = status.paused.iter().find(|paused| paused.kind == part.kind() && paused.name == part.name());
    found.map_or_else(|| "It is not paused.".to_owned(), |paused| format!("It is {paused}."))
}
