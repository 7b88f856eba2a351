//! Comparing the access that there is with what should be.

use lockstep_core::settings::Settings;
use lockstep_destinations::AccessState;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::access::AccessFinding;
use serde::Serialize;

use super::Managed;
use crate::deployment::Deployment;
use crate::doctor::{Check, or_ok};
use crate::error::OperationError;
use crate::tenancies::{inhabited, locations};

/// The name of the check of `lockstep doctor`.
const CHECK: &str = "access";

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Finding {
    /// A user, a view, or what all tenants share.
    pub subject: String,
    /// In a sentence.
    pub detail: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What a check came to.
#[derive(Serialize, Debug)]
pub struct AccessCheckReport {
    /// Whether nothing is to be done.
    pub clean: bool,
    /// How the server manages access.
    pub managed: Managed,
    /// How many tenants' users there are.
    pub users: usize,
    /// One by one.
    pub findings: Vec<Finding>,
}

/// Compares row policies, rights, ceilings, quota and tenants' users with what should be, and the places that users read
/// with those of their tenancies. Changes nothing.
///
/// # Errors
/// When ClickHouse or Postgres cannot be asked.
pub async fn access_check(deployment: &Deployment<'_>) -> Result<AccessCheckReport, OperationError> {
    let (state, mut found) = look(deployment).await?;
    found.sort();
    let of = |AccessFinding { subject, detail, remedy }| Finding { subject, detail, remedy };
    let findings: Vec<_> = found.into_iter().map(of).collect();
    Ok(AccessCheckReport {
        clean: findings.is_empty(),
        managed: Managed::of(state.by_statements),
        users: state.users.len(),
        findings,
    })
}

/// The same as checks of `lockstep doctor`.
pub(crate) async fn doctor_checks(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, OperationError> {
    let deployment = Deployment::connect_before_migrate(settings, mappings).await?;
    let (state, found) = look(&deployment).await?;
    // What `lockstep migrate` mends is told as its steps.
    let findings = found
        .into_iter()
        .filter(|finding| !finding.is_mended_by_migrate())
        .map(|finding| Check::finding(CHECK, format!("{}: {}", finding.subject, finding.detail), finding.remedy));
    let fine = match state.users.len() {
        0 => "no tenant has a user".to_owned(),
        count => format!("{count} tenants' users read their own rows alone"),
    };
    Ok(or_ok(CHECK, &fine, findings.collect()))
}

async fn look(deployment: &Deployment<'_>) -> Result<(AccessState, Vec<AccessFinding>), OperationError> {
    let clickhouse = deployment.answering_clickhouse().await?;
    let state = clickhouse.access_state(deployment.mappings).await?;
    let mut findings = state.audit(&clickhouse.access(deployment.mappings));
    findings.extend(misplaced(deployment, &state).await?);
    Ok((state, findings))
}

/// Users that read another place than that of their tenancy: somebody else may live there by now.
async fn misplaced(deployment: &Deployment<'_>, state: &AccessState) -> Result<Vec<AccessFinding>, OperationError> {
    if state.users.is_empty() {
        return Ok(Vec::new());
    }
    let tenancies: Vec<_> = state.users.iter().filter_map(|user| user.tenancy()).collect();
    let there = locations(&deployment.client, &tenancies).await?;
    let in_files = state.users.iter().filter(|user| user.in_file);
    let places: Vec<_> = in_files.filter_map(|user| user.location(&state.policies)).collect();
    let inhabited = inhabited(&deployment.client, &places).await?;
    let findings = state.users.iter().filter_map(|user| {
        let place = user.location(&state.policies)?;
        let (detail, remedy) = match user.tenancy().map(|tenancy| there.get(&tenancy)) {
            Some(None) => ("its tenancy is gone", "`lockstep access revoke` for its tenancy"),
            Some(Some(now)) if *now != place => (
                "its tenancy has moved to another project or branch, and it reads whoever lives at the old one",
                "`lockstep access grant` for its tenancy makes it anew",
            ),
            None if user.in_file && !inhabited.contains(&place) => {
                ("nobody lives at the project and branch that it reads", "take it out of its file")
            }
            _ => return None,
        };
        Some(AccessFinding::new(&*user.name, detail, remedy))
    });
    Ok(findings.collect())
}
