//! What a server says about access: the shapes of its answers, and the queries for them.

use lockstep_core::{Location, TenancyId};
use serde::Deserialize;

use super::text::{place_of_condition, setting_value};
use super::{BRANCH_SETTING, PROJECT_SETTING, TENANCY_SETTING};

/// A row policy of one of the views.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct FoundPolicy {
    /// Its name at the view.
    pub name: String,
    /// The view.
    pub view: String,
    /// Its condition, as the server formats it.
    pub filter: String,
    /// Whether it takes away what others give.
    pub is_restrictive: bool,
    /// Whether it concerns everybody.
    pub to_all: bool,
    /// Whom it concerns.
    pub to: Vec<String>,
    /// Whom it does not concern.
    pub except: Vec<String>,
}

/// A right of a user or role. What is empty is not limited.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct FoundGrant {
    /// `SELECT` for instance.
    pub right: String,
    /// On what database.
    pub database: String,
    /// On what table.
    pub table: String,
    /// On what column.
    pub column: String,
    /// Whether it may be passed on, or is a right that was taken.
    pub is_special: bool,
}

/// A setting of a profile or user, or a profile that it inherits. What is empty is not there.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct FoundElement {
    /// The setting.
    pub setting: String,
    /// Its value.
    pub value: String,
    /// The least that a session may choose.
    pub min: String,
    /// The most.
    pub max: String,
    /// `CONST` where it may choose nothing.
    pub writability: String,
    /// The profile that is inherited.
    pub profile: String,
}

/// An interval of the quota.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct FoundQuota {
    /// What it is counted by.
    pub keys: Vec<String>,
    /// Its roles and users.
    pub to: Vec<String>,
    /// Seconds.
    pub duration: u32,
    /// The limits in the order of [`super::QUOTA`]; 0: none.
    pub limits: Vec<u32>,
}

/// What all tenants share.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FoundGroup {
    /// Whether the role is there.
    pub has_role: bool,
    /// The role's rights.
    pub grants: Vec<FoundGrant>,
    /// The profile.
    pub profile: Vec<FoundElement>,
    /// The quota.
    pub quota: Vec<FoundQuota>,
}

/// A user that has the tenants' profile.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FoundUser {
    /// Its name.
    pub name: String,
    /// Whether it stands in a file.
    pub in_file: bool,
    /// Its own settings and profiles.
    pub elements: Vec<FoundElement>,
    /// Rights that it has by itself.
    pub grants: Vec<FoundGrant>,
    /// Roles that it has.
    pub roles: Vec<String>,
}

impl FoundUser {
    /// Whose user it is, where that was written down.
    pub fn tenancy(&self) -> Option<TenancyId> {
        self.constant(TENANCY_SETTING)?.parse().ok()
    }

    /// Whose rows it reads: by its settings, or where it stands in a file by its row filters, of which all have to say the
    /// same.
    pub fn location(&self, policies: &[FoundPolicy]) -> Option<Location> {
        if !self.in_file {
            let (project_id, branch_id) = (self.constant(PROJECT_SETTING)?, self.constant(BRANCH_SETTING)?);
            return Some(Location { project_id, branch_id });
        }
        let mut own = policies.iter().filter(|policy| policy.to.contains(&self.name));
        let first = place_of_condition(&own.next()?.filter)?;
        own.all(|policy| place_of_condition(&policy.filter).as_ref() == Some(&first)).then_some(first)
    }

    /// A setting that no session can change.
    pub(super) fn constant(&self, setting: &str) -> Option<String> {
        let mut elements = self.elements.iter().filter(|element| element.setting == setting);
        let element = elements.next().filter(|element| element.writability == "CONST")?;
        elements.next().is_none().then(|| setting_value(&element.value))
    }
}

/// Queries whose rows have the shapes above, each field a column.
pub mod queries {
    use lockstep_core::TenancyId;

    use super::super::{Access, QUOTA, UserName, sql};
    use crate::clickhouse::literal;

    const GRANT: &str = "toString(access_type), ifNull(database, ''), ifNull(table, ''), ifNull(column, ''), toBool(is_partial_revoke OR grant_option)";
    const ELEMENT: &str = "ifNull(setting_name, ''), ifNull(value, ''), ifNull(min, ''), ifNull(max, ''), ifNull(toString(writability), ''), ifNull(inherit_profile, '')";

    /// The row policies of everything in the views' database.
    pub fn policies(access: &Access<'_>) -> String {
        format!(
            "SELECT short_name, table, ifNull(select_filter, ''), toBool(is_restrictive), toBool(apply_to_all), apply_to_list, apply_to_except FROM system.row_policies WHERE database = {} ORDER BY table, short_name",
            literal(&access.databases.views)
        )
    }

    /// Whether the role is there: a number.
    pub fn roles(access: &Access<'_>) -> String {
        format!("SELECT count() FROM system.roles WHERE name = {}", literal(&access.group()))
    }

    /// The role's rights.
    pub fn role_grants(access: &Access<'_>) -> String {
        format!("SELECT {GRANT} FROM system.grants WHERE role_name = {}", literal(&access.group()))
    }

    /// The elements of the profile.
    pub fn profile(access: &Access<'_>) -> String {
        let name = literal(&access.group());
        format!("SELECT {ELEMENT} FROM system.settings_profile_elements WHERE profile_name = {name} ORDER BY index")
    }

    /// The intervals of the quota.
    pub fn quota(access: &Access<'_>) -> String {
        let limits = QUOTA.map(|(kind, _)| format!("toUInt32(ifNull(l.max_{kind}, 0))"));
        format!(
            "SELECT q.keys, q.apply_to_list, l.duration, [{}] FROM system.quotas AS q INNER JOIN system.quota_limits AS l ON q.name = l.quota_name WHERE q.name = {} ORDER BY l.duration",
            limits.join(", "),
            literal(&access.group())
        )
    }

    fn tenants(access: &Access<'_>) -> String {
        format!(
            "SELECT assumeNotNull(user_name) FROM system.settings_profile_elements WHERE inherit_profile = {} AND user_name IS NOT NULL",
            literal(&access.group())
        )
    }

    /// Name, and whether it stands in a file, of the next users that have the tenants' profile.
    pub fn users(access: &Access<'_>, after: &str, limit: u32) -> String {
        format!(
            "SELECT name, toBool(storage = 'users_xml') FROM system.users WHERE name > {} AND name IN ({}) ORDER BY name LIMIT {limit}",
            literal(after),
            tenants(access)
        )
    }

    /// Names of users of a tenancy.
    pub fn users_of(access: &Access<'_>, tenancy: TenancyId) -> String {
        format!(
            "SELECT DISTINCT assumeNotNull(user_name) AS name FROM system.settings_profile_elements WHERE user_name IN ({}) AND {} ORDER BY name",
            tenants(access),
            sql::is_of_tenancy(tenancy)
        )
    }

    /// Whether there is a user of that name, tenant's or not: a number.
    pub fn user_exists(name: &UserName) -> String {
        format!("SELECT count() FROM system.users WHERE name = {}", literal(name.as_str()))
    }

    fn of_users(columns: &str, table: &str, access: &Access<'_>, [first, last]: [&str; 2]) -> String {
        format!(
            "SELECT assumeNotNull(user_name) AS name, {columns} FROM system.{table} WHERE user_name >= {} AND user_name <= {} AND user_name IN ({})",
            literal(first),
            literal(last),
            tenants(access)
        )
    }

    /// The name of each of these tenants' users, beside one of its settings.
    pub fn user_elements(access: &Access<'_>, range: [&str; 2]) -> String {
        of_users(ELEMENT, "settings_profile_elements", access, range)
    }

    /// The name of each of these tenants' users, beside one of its own rights.
    pub fn user_grants(access: &Access<'_>, range: [&str; 2]) -> String {
        of_users(GRANT, "grants", access, range)
    }

    /// The name of each of these tenants' users, beside one of its roles.
    pub fn user_roles(access: &Access<'_>, range: [&str; 2]) -> String {
        of_users("granted_role_name", "role_grants", access, range)
    }

    /// The name of each user and role that was given something in the views' database, without the role of tenants.
    pub fn readers(access: &Access<'_>) -> String {
        format!(
            "SELECT DISTINCT coalesce(user_name, role_name, '') AS name FROM system.grants WHERE database = {} AND NOT is_partial_revoke AND access_type IN ('SELECT', 'ALL') AND name NOT IN ({}, {}) ORDER BY name",
            literal(&access.databases.views),
            literal(access.own_user),
            literal(&access.group())
        )
    }

    /// Fails with code 115 where the server knows no settings that begin with `SQL_`.
    pub fn probe_custom_settings() -> String {
        sql::probe_custom_settings()
    }
}
