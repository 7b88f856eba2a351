//! Who reads what in ClickHouse (ISO-1): tenants' users are made, taken away, listed and checked.

mod check;
mod grant;
mod password;
mod revoke;

use std::collections::BTreeMap;

use lockstep_core::{Location, TenancyId};
use serde::Serialize;

pub(crate) use self::check::doctor_checks;
pub use self::check::{AccessCheckReport, Finding, access_check};
pub use self::grant::{GrantReport, GrantRequest, grant_access};
pub use self::password::Password;
pub use self::revoke::{RevokeReport, revoke_access};
use crate::deployment::Deployment;
use crate::error::OperationError;

/// How a server manages access.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Managed {
    /// By statements, which Lockstep runs.
    Statements,
    /// In files, which an operator puts in place.
    Files,
}

impl Managed {
    const fn of(by_statements: bool) -> Self {
        if by_statements { Self::Statements } else { Self::Files }
    }
}

/// A user that has the tenants' profile.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct AccessEntry {
    /// Its name.
    pub user: String,
    /// Whose user it is; None where it stands in a file, or that was not written down.
    pub tenancy: Option<String>,
    /// Whose rows it reads; None where it is not bound to one project and branch.
    pub project_id: Option<String>,
    /// As `project_id`.
    pub branch_id: Option<String>,
    /// Whether it stands in a file.
    pub in_file: bool,
}

/// All tenants' users.
#[derive(Serialize, Debug)]
pub struct AccessReport {
    /// How the server manages access.
    pub managed: Managed,
    /// In order of their names.
    pub users: Vec<AccessEntry>,
}

/// Tenants' users, as ClickHouse knows them.
///
/// # Errors
/// When ClickHouse cannot be asked, or does not let Lockstep see users.
pub async fn access_list(deployment: &Deployment<'_>) -> Result<AccessReport, OperationError> {
    let state = deployment.answering_clickhouse().await?.access_state(deployment.mappings).await?;
    let users = state.users.iter().map(|user| {
        let (project_id, branch_id) =
            user.location(&state.policies).map(|place| (place.project_id, place.branch_id)).unzip();
        let tenancy = user.tenancy().map(|tenancy| tenancy.to_string());
        AccessEntry { user: user.name.clone(), tenancy, project_id, branch_id, in_file: user.in_file }
    });
    Ok(AccessReport { managed: Managed::of(state.by_statements), users: users.collect() })
}

/// Where a tenancy is now.
async fn location(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<Location, OperationError> {
    let mut found: BTreeMap<_, _> = crate::tenancies::locations(&deployment.client, &[tenancy]).await?;
    found.remove(&tenancy).ok_or(OperationError::UnknownTenancy(tenancy))
}
