//! Who may read what (ISO-1): one model of access in two renderings, SQL for servers that manage access by statements and
//! users XML for servers that manage it in files.
//!
//! The model: a tenancy has one user. It reads the views and nothing else, of them the rows of its own project and branch,
//! changes no setting, and stays below ceilings and a quota. Start at [`Access`].
//!
//! Where access is managed by statements, the user has its project and branch as constant settings (the server's
//! `custom_settings_prefixes` has to hold `SQL_`), and the row policies of a view compare rows with these. The policies are
//! made before the view, whether a tenant has a user or not; the tenants' role is given a new view at the very end.
//!
//! Where it is managed in files, the place stands in row filters. A filter binds its user alone, so whoever else is given
//! the views reads everything. A file lists the views that there were: when mappings come, it has to be made anew.
//!
//! A user is bound to a place and not to a tenancy. Tenancies that differ in organisation share one; one that moves leaves
//! its user at the old place, where somebody else may come to live.

mod audit;
mod ceilings;
mod found;
mod name;
mod policies;
mod repair;
mod sql;
#[cfg(test)]
mod tests;
mod text;
mod xml;

use lockstep_core::{Location, TenancyId};

pub use self::audit::{AccessFinding, audit};
pub use self::ceilings::{Bounds, CEILINGS, Ceiling, QUOTA, QUOTA_SECONDS};
pub use self::found::{FoundElement, FoundGrant, FoundGroup, FoundPolicy, FoundQuota, FoundUser, queries};
pub use self::name::{InvalidUserName, UserName};
pub use self::policies::{Applies, RowPolicy};
pub use self::repair::Repair;
use super::Databases;
use crate::set::MappingSet;

/// Session settings that say where a tenant's rows are. A tenant's user has them as constants.
const PROJECT_SETTING: &str = "SQL_project_id";
const BRANCH_SETTING: &str = "SQL_branch_id";
/// The setting that says whose user it is.
const TENANCY_SETTING: &str = "SQL_tenancy_id";

/// What access has to be: everything about it follows from the mappings and these names.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Whose views are read.
    pub mappings: &'a MappingSet,
    /// Where they are.
    pub databases: &'a Databases,
    /// The user that Lockstep itself logs in as; it alone is not bound by row policies.
    pub own_user: &'a str,
}

/// A tenancy's own user.
#[derive(Clone, Debug)]
pub struct TenantUser {
    /// Its name.
    pub name: UserName,
    /// SHA-256 of its password in hexadecimal.
    pub password_sha256_hex: String,
    /// Whose user it is.
    pub tenancy: TenancyId,
    /// Whose rows it reads.
    pub location: Location,
}

impl Access<'_> {
    /// The name of the role, of the settings profile and of the quota that all tenants of these views have.
    pub fn group(&self) -> String {
        format!("lockstep_tenants_{}", self.databases.views)
    }

    /// The names of the views.
    fn views(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().map(|mapping| mapping.name.as_str())
    }
}
