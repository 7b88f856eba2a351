//! Giving a tenancy its user.

use lockstep_core::TenancyId;
use lockstep_mappings::clickhouse::access::{TenantUser, UserName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use super::{Managed, Password, location};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::living_at;

/// Whose user, and which.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    /// The tenancy.
    pub tenancy: TenancyId,
    /// The user's name; None: `tenant_` and the tenancy's id.
    pub user: Option<UserName>,
    /// Its password; None: one is made, and is in the report.
    pub password: Option<Password>,
}

/// The user that a tenancy has now.
#[derive(Serialize, Debug)]
pub struct GrantReport {
    /// Whose user it is.
    pub tenancy: String,
    /// Its name.
    pub user: String,
    /// Whose rows it reads.
    pub project_id: String,
    /// As `project_id`.
    pub branch_id: String,
    /// How the server manages access.
    pub managed: Managed,
    /// Whether the tenancy had this user before: its old password is of no use any more.
    pub replaced: bool,
    /// The password, where it was made here: it is kept nowhere.
    #[serde(serialize_with = "shown_once")]
    pub password: Option<SecretString>,
    /// Where access is managed in files: the file that makes the user.
    pub users_xml: Option<String>,
    /// Other tenancies of the same project and branch, which differ in organisation: the user reads their rows too.
    pub also_reads: Vec<String>,
}

#[allow(clippy::ref_option, reason = "serde gives a reference to the field")]
fn shown_once<S: Serializer>(password: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

/// Gives a tenancy its one user, or makes it anew: with another password, at the place where the tenancy is now, and without
/// whatever it had been given besides. Where access is managed in files, nothing is changed, and the report has the file.
///
/// # Errors
/// When there is no such tenancy, the name is somebody else's, the tenancy has a user of another name, or ClickHouse does not
/// let Lockstep do it.
pub async fn grant_access(deployment: &Deployment<'_>, request: &GrantRequest) -> Result<GrantReport, OperationError> {
    let tenancy = request.tenancy;
    let place = location(deployment, tenancy).await?;
    let others = living_at(&deployment.client, std::slice::from_ref(&place)).await?;
    let (password, shown) = match request.password.clone() {
        Some(password) => (password, false),
        None => (Password::made(), true),
    };
    let user = TenantUser {
        name: request.user.clone().unwrap_or_else(|| UserName::of(tenancy)),
        password_sha256_hex: password.sha256_hex(),
        tenancy,
        location: place,
    };
    let clickhouse = deployment.clickhouse()?;
    let managed = Managed::of(clickhouse.can_manage_access().await?);
    let own = clickhouse.users_of(deployment.mappings, tenancy).await?;
    let replaced = own.iter().any(|name| name == user.name.as_str());
    let mut users_xml = None;
    match managed {
        Managed::Statements => {
            if let Some(other) = own.into_iter().find(|name| name != user.name.as_str()) {
                return Err(OperationError::HasAnotherUser { tenancy, user: other });
            }
            if !replaced && clickhouse.has_user(&user.name).await? {
                return Err(OperationError::UserTaken(user.name));
            }
            if !clickhouse.takes_custom_settings().await? {
                return Err(OperationError::NoCustomSettings);
            }
            clickhouse.grant_access(deployment.mappings, &user, replaced).await?;
        }
        Managed::Files => {
            let file = clickhouse.access(deployment.mappings).users_xml(std::slice::from_ref(&user));
            users_xml = Some(file.ok_or_else(|| OperationError::NotForFiles(clickhouse.databases().views.clone()))?);
        }
    }
    Ok(GrantReport {
        tenancy: tenancy.to_string(),
        user: user.name.to_string(),
        project_id: user.location.project_id,
        branch_id: user.location.branch_id,
        managed,
        replaced,
        password: shown.then(|| password.into_secret()),
        users_xml,
        also_reads: others.into_iter().filter(|other| *other != tenancy).map(|other| other.to_string()).collect(),
    })
}
