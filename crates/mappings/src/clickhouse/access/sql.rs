//! The rendering in SQL, for servers that manage access by statements; `custom_settings_prefixes` has to hold `SQL_`.

use lockstep_core::TenancyId;

use super::{Access, BRANCH_SETTING, Bounds, CEILINGS, PROJECT_SETTING, QUOTA, QUOTA_SECONDS, TENANCY_SETTING};
use super::{TenantUser, UserName};
use crate::clickhouse::{identifier, literal, on_cluster};

impl Access<'_> {
    /// Makes the role, which may nothing yet.
    pub(super) fn create_role(&self) -> String {
        format!("CREATE ROLE IF NOT EXISTS {}{}", identifier(&self.group()), on_cluster(self.databases))
    }

    /// Gives the role the views, and takes everything else that it may have been given, in one step.
    pub(super) fn grant_views(&self) -> String {
        let database = identifier(&self.databases.views);
        let views: Vec<_> = self.views().map(|view| format!("SELECT ON {database}.{}", identifier(view))).collect();
        let (cluster, role) = (on_cluster(self.databases), identifier(&self.group()));
        format!("GRANT{cluster} {} TO {role} WITH REPLACE OPTION", views.join(", "))
    }

    /// The settings profile with the ceilings. It is altered and not replaced: users refer to it by an id that a new one
    /// would not have.
    pub(super) fn set_ceilings(&self) -> [String; 2] {
        let (cluster, profile) = (on_cluster(self.databases), identifier(&self.group()));
        let settings = CEILINGS.map(|ceiling| {
            let value = if ceiling.value.bytes().all(|byte| byte.is_ascii_digit()) {
                ceiling.value.to_owned()
            } else {
                literal(ceiling.value)
            };
            match ceiling.bounds {
                Bounds::Const => format!("{} = {value} CONST", ceiling.setting),
                Bounds::UpToValue => format!("{} = {value} MIN 1 MAX {value}", ceiling.setting),
            }
        });
        [
            format!("CREATE SETTINGS PROFILE IF NOT EXISTS {profile}{cluster}"),
            format!("ALTER SETTINGS PROFILE {profile}{cluster} SETTINGS {}", settings.join(", ")),
        ]
    }

    /// The quota, which counts for each user by itself.
    pub(super) fn set_quota(&self) -> String {
        let limits = QUOTA.map(|(kind, most)| format!("{kind} = {most}"));
        let name = identifier(&self.group());
        format!(
            "CREATE QUOTA OR REPLACE {name}{} KEYED BY user_name FOR INTERVAL {QUOTA_SECONDS} second MAX {} TO {name}",
            on_cluster(self.databases),
            limits.join(", "),
        )
    }

    /// Makes a tenancy's user, and lets it read at the very end. One that is there is replaced only if asked for: whatever it
    /// had been given besides is gone then.
    pub fn create_user(&self, user: &TenantUser, replace: bool) -> Vec<String> {
        let (cluster, name) = (on_cluster(self.databases), identifier(user.name.as_str()));
        let constants = [
            (PROJECT_SETTING, user.location.project_id.clone()),
            (BRANCH_SETTING, user.location.branch_id.clone()),
            (TENANCY_SETTING, user.tenancy.to_string()),
        ]
        .map(|(setting, value)| format!("{setting} = {} CONST", literal(&value)));
        vec![
            format!(
                "CREATE USER{replace} {name}{cluster} IDENTIFIED WITH sha256_hash BY {hash} SETTINGS PROFILE {profile}, {constants}",
                replace = if replace { " OR REPLACE" } else { "" },
                hash = literal(&user.password_sha256_hex),
                profile = literal(&self.group()),
                constants = constants.join(", "),
            ),
            // It has nothing but what a user is born with, which is nothing; both are said for servers that think otherwise.
            format!("REVOKE{cluster} ALL ON *.* FROM {name}"),
            format!("GRANT{cluster} {} TO {name}", identifier(&self.group())),
        ]
    }

    /// Takes a user away. What it runs at this moment ends at the ceiling of time at the latest.
    pub fn drop_user(&self, name: &UserName) -> String {
        format!("DROP USER IF EXISTS {}{}", identifier(name.as_str()), on_cluster(self.databases))
    }
}

/// Fails with code 115 where the server knows no settings that begin with `SQL_`: tenants' places cannot be written down
/// there.
pub(super) fn probe_custom_settings() -> String {
    format!("SELECT 1 SETTINGS {TENANCY_SETTING} = ''")
}

/// The condition that an element of a user's settings says that the user is of this tenancy. Servers show the values of
/// custom settings as literals.
pub(super) fn is_of_tenancy(tenancy: TenancyId) -> String {
    let plain = literal(&tenancy.to_string());
    format!("setting_name = {} AND value IN ({plain}, {})", literal(TENANCY_SETTING), literal(&plain))
}
