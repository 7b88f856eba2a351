//! Who may read what (ISO-1): what the server says about it, and tenants' users.

use std::collections::BTreeMap;

use lockstep_core::TenancyId;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::access::{
    Access, AccessFinding, FoundElement, FoundGrant, FoundGroup, FoundPolicy, FoundQuota, FoundUser, TenantUser,
    UserName, audit, queries,
};
use serde::Deserialize;

use super::ClickHouse;
use crate::error::DestinationError;
use crate::provision::ProvisionStep;

/// How many places there are that can take users, roles and policies made by SQL.
const WRITABLE_ACCESS_STORAGES: &str = "SELECT count() FROM system.user_directories \
     WHERE type IN ('local_directory', 'local directory', 'replicated', 'memory') \
     AND NOT JSONExtractBool(toString(params), 'readonly')";

/// Users that are read at once.
const USERS_AT_ONCE: u32 = 2000;

/// What a server says about access to the views.
#[derive(Clone, Debug)]
pub struct AccessState {
    /// Whether it manages access by statements; else in files.
    pub by_statements: bool,
    /// Row policies.
    pub policies: Vec<FoundPolicy>,
    /// What all tenants share.
    pub group: FoundGroup,
    /// Tenants' users in order of their names.
    pub users: Vec<FoundUser>,
    /// Others who were given something in the views' database.
    pub readers: Vec<String>,
}

/// Something of a user.
#[derive(Deserialize)]
struct Of<T>(String, T);

#[derive(Deserialize)]
struct ElementOf(String, String, String, String, String, String, String);

#[derive(Deserialize)]
struct GrantOf(String, String, String, String, String, bool);

impl ClickHouse {
    /// Whether users, roles and row policies can be made by SQL here. Where they cannot (code 514 on trying), access is
    /// managed by files. Changes nothing; whether this user may make them is another question, answered by trying.
    ///
    /// # Errors
    /// What the server says.
    pub async fn can_manage_access(&self) -> Result<bool, DestinationError> {
        Ok(self.fetch_one::<u64>(WRITABLE_ACCESS_STORAGES).await? > 0)
    }

    /// What access to the views of these mappings has to be here.
    pub fn access<'a>(&'a self, mappings: &'a MappingSet) -> Access<'a> {
        Access { mappings, databases: self.databases(), own_user: self.user() }
    }

    /// Everything about access to the views, tenants' users included.
    ///
    /// # Errors
    /// What the server says; that this user may not see it (LS-0204), for instance.
    pub async fn access_state(&self, mappings: &MappingSet) -> Result<AccessState, DestinationError> {
        let access = self.access(mappings);
        let mut users = Vec::new();
        loop {
            let after = users.last().map_or("", |user: &FoundUser| &user.name);
            let next = self.next_users(&access, after).await?;
            let is_last = next.len() < USERS_AT_ONCE as usize;
            users.extend(next);
            if is_last {
                break;
            }
        }
        Ok(AccessState {
            by_statements: self.can_manage_access().await?,
            policies: self.fetch_rows(&queries::policies(&access)).await?,
            group: self.group(&access).await?,
            users,
            readers: self.names(&queries::readers(&access)).await?,
        })
    }

    /// What is missing on a server that manages access by statements: row policies, and what tenants are given, where they
    /// are given anything.
    pub(super) async fn access_steps(
        &self,
        mappings: &MappingSet,
    ) -> Result<[Vec<ProvisionStep>; 2], DestinationError> {
        let access = self.access(mappings);
        let policies: Vec<FoundPolicy> = self.fetch_rows(&queries::policies(&access)).await?;
        let repair = access.repair(&policies, &self.group(&access).await?, false);
        let mut protect: Vec<ProvisionStep> = Vec::new();
        for (view, statement) in repair.protect {
            let what = format!("protect the rows of view {}.{view}", access.databases.views);
            match protect.last_mut().filter(|step| step.what == what) {
                Some(step) => step.statements.push(statement),
                None => protect.push(ProvisionStep::new(what, vec![statement])),
            }
        }
        let step = |(what, statements): (&str, _)| ProvisionStep::new(what, statements);
        Ok([protect, repair.allow.into_iter().map(step).collect()])
    }

    /// Whether this server takes settings that begin with `SQL_`.
    ///
    /// # Errors
    /// What else the server says.
    pub async fn takes_custom_settings(&self) -> Result<bool, DestinationError> {
        const UNKNOWN_SETTING: u32 = 115;
        match self.execute(&queries::probe_custom_settings()).await {
            Ok(()) => Ok(true),
            Err(error) if error.server_code() == Some(UNKNOWN_SETTING) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a user of that name, a tenant's or anybody's.
    ///
    /// # Errors
    /// What the server says.
    pub async fn has_user(&self, name: &UserName) -> Result<bool, DestinationError> {
        Ok(self.fetch_one::<u64>(&queries::user_exists(name)).await? > 0)
    }

    /// The names of a tenancy's users.
    ///
    /// # Errors
    /// What the server says.
    pub async fn users_of(&self, mappings: &MappingSet, tenancy: TenancyId) -> Result<Vec<String>, DestinationError> {
        self.names(&queries::users_of(&self.access(mappings), tenancy)).await
    }

    /// Lets a tenancy's user read the views: first everything that protects, then what allows, then the user. Each statement
    /// can be run again, and one that fails leaves nobody with more than before.
    ///
    /// # Errors
    /// What the server says.
    pub async fn grant_access(
        &self,
        mappings: &MappingSet,
        user: &TenantUser,
        replace: bool,
    ) -> Result<(), DestinationError> {
        let access = self.access(mappings);
        let policies: Vec<FoundPolicy> = self.fetch_rows(&queries::policies(&access)).await?;
        let repair = access.repair(&policies, &self.group(&access).await?, true);
        let protect = repair.protect.into_iter().map(|(_, statement)| statement);
        let allow = repair.allow.into_iter().flat_map(|(_, statements)| statements);
        for statement in protect.chain(allow).chain(access.create_user(user, replace)) {
            self.execute(&statement).await?;
        }
        Ok(())
    }

    /// Takes a user away.
    ///
    /// # Errors
    /// What the server says.
    pub async fn revoke_access(&self, mappings: &MappingSet, name: &UserName) -> Result<(), DestinationError> {
        self.execute(&self.access(mappings).drop_user(name)).await
    }

    async fn names(&self, query: &str) -> Result<Vec<String>, DestinationError> {
        let rows: Vec<(String,)> = self.fetch_rows(query).await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    async fn group(&self, access: &Access<'_>) -> Result<FoundGroup, DestinationError> {
        Ok(FoundGroup {
            has_role: self.fetch_one::<u64>(&queries::roles(access)).await? > 0,
            grants: self.fetch_rows(&queries::role_grants(access)).await?,
            profile: self.fetch_rows(&queries::profile(access)).await?,
            quota: self.fetch_rows::<FoundQuota>(&queries::quota(access)).await?,
        })
    }

    async fn next_users(&self, access: &Access<'_>, after: &str) -> Result<Vec<FoundUser>, DestinationError> {
        let found: Vec<(String, bool)> = self.fetch_rows(&queries::users(access, after, USERS_AT_ONCE)).await?;
        let (Some((first, _)), Some((last, _))) = (found.first(), found.last()) else { return Ok(Vec::new()) };
        let range = [&**first, last];
        let mut users: BTreeMap<String, FoundUser> = found
            .iter()
            .map(|(name, in_file)| {
                (name.clone(), FoundUser { name: name.clone(), in_file: *in_file, ..FoundUser::default() })
            })
            .collect();
        // One that came in between is seen next time.
        for ElementOf(name, setting, value, min, max, writability, profile) in
            self.fetch_rows(&queries::user_elements(access, range)).await?
        {
            if let Some(user) = users.get_mut(&name) {
                user.elements.push(FoundElement { setting, value, min, max, writability, profile });
            }
        }
        for GrantOf(name, right, database, table, column, is_special) in
            self.fetch_rows(&queries::user_grants(access, range)).await?
        {
            if let Some(user) = users.get_mut(&name) {
                user.grants.push(FoundGrant { right, database, table, column, is_special });
            }
        }
        for Of(name, role) in self.fetch_rows(&queries::user_roles(access, range)).await? {
            if let Some(user) = users.get_mut(&name) {
                user.roles.push(role);
            }
        }
        Ok(users.into_values().collect())
    }
}

impl AccessState {
    /// Everything that is not as it should be. Whether users read the place of their tenancy is for the source to say.
    pub fn audit(&self, access: &Access<'_>) -> Vec<AccessFinding> {
        audit(access, self.by_statements, &self.policies, &self.group, &self.users, &self.readers)
    }
}
