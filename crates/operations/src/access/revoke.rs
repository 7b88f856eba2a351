//! Taking a tenancy's user away.

use lockstep_core::TenancyId;
use lockstep_mappings::clickhouse::access::UserName;
use serde::Serialize;

use super::Managed;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::places;

/// What became of a tenancy's users.
#[derive(Serialize, Debug)]
pub struct RevokeReport {
    /// Whose users.
    pub tenancy: String,
    /// How the server manages access.
    pub managed: Managed,
    /// Users that were taken away.
    pub revoked: Vec<String>,
    /// Users that stand in files and read the rows of the tenancy's project and branch: whoever keeps the files has to take
    /// them out.
    pub in_files: Vec<String>,
}

/// Takes away every user of a tenancy, whether it exists in the source or not. What such a user runs at this moment ends at
/// the ceiling of time at the latest.
///
/// # Errors
/// When ClickHouse cannot be asked, or does not let Lockstep do it.
pub async fn revoke_access(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<RevokeReport, OperationError> {
    // Fails where nothing is installed.
    deployment.control()?;
    let clickhouse = deployment.clickhouse()?;
    let mut revoked = Vec::new();
    for name in clickhouse.users_of(deployment.mappings, tenancy).await? {
        // Lockstep gives no others.
        let Ok(user) = name.parse::<UserName>() else { continue };
        clickhouse.revoke_access(deployment.mappings, &user).await?;
        revoked.push(name);
    }
    let places = places(&deployment.client, &[tenancy]).await?;
    let state = clickhouse.access_state(deployment.mappings).await?;
    let in_files = state
        .users
        .iter()
        .filter(|user| user.in_file && user.location(&state.policies).is_some_and(|place| places.contains(&place)));
    Ok(RevokeReport {
        tenancy: tenancy.to_string(),
        managed: Managed::of(state.by_statements),
        revoked,
        in_files: in_files.map(|user| user.name.clone()).collect(),
    })
}
