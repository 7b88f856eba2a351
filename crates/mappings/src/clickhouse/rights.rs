//! What Lockstep's user has to be granted: the one list, which is asked for and shown in docs/errors/LS-0204.md.

use super::{Databases, identifier};

/// Privileges on one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Right {
    /// As `GRANT` takes them.
    pub privileges: Vec<&'static str>,
    /// What they are on.
    pub on: String,
}

/// What is read of the database `system`.
const SYSTEM_TABLES: [&str; 7] =
    ["columns", "databases", "mutations", "parts", "settings", "tables", "user_directories"];
/// What shows who may read what.
const ACCESS_TABLES: [&str; 8] =
    ["grants", "quota_limits", "quotas", "role_grants", "roles", "row_policies", "settings_profile_elements", "users"];

/// What is needed everywhere.
pub fn rights(databases: &Databases) -> Vec<Right> {
    let is_cluster = databases.cluster.is_some();
    let raw = ["CREATE DATABASE", "CREATE TABLE", "DROP TABLE", "ALTER TABLE", "OPTIMIZE", "SELECT", "INSERT"];
    // A view that takes another's place is made beside it under another name.
    let views = ["CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP TABLE", "SELECT", "INSERT"];
    // The table function `input`, from which inserts read their rows.
    let anywhere: &[_] =
        if is_cluster { &["CREATE TEMPORARY TABLE", "CLUSTER", "REMOTE"] } else { &["CREATE TEMPORARY TABLE"] };
    let engines: &[_] =
        if is_cluster { &["ReplicatedReplacingMergeTree", "Distributed"] } else { &["ReplacingMergeTree"] };
    let mut rights = vec![
        right(&raw, format!("{}.*", identifier(&databases.raw))),
        right(&views, format!("{}.*", identifier(&databases.views))),
        right(anywhere, "*.*"),
    ];
    rights.extend(engines.iter().map(|engine| right(&["TABLE ENGINE"], *engine)));
    rights.extend(SYSTEM_TABLES.map(of_system));
    rights
}

/// What is needed besides where access is managed by statements: `lockstep migrate` protects every view, and `lockstep access` makes
/// users. The right to read the views has to be one `WITH GRANT OPTION` there, which no question tells.
pub fn rights_to_manage_access() -> Vec<Right> {
    const MANAGE: [&str; 9] = [
        "SHOW ACCESS",
        "ROLE ADMIN",
        "CREATE USER",
        "DROP USER",
        "CREATE ROLE",
        "CREATE ROW POLICY",
        "CREATE QUOTA",
        "CREATE SETTINGS PROFILE",
        "ALTER SETTINGS PROFILE",
    ];
    let mut rights = vec![right(&MANAGE, "*.*")];
    rights.extend(ACCESS_TABLES.map(of_system));
    rights
}

fn right(privileges: &[&'static str], on: impl Into<String>) -> Right {
    Right { privileges: privileges.to_vec(), on: on.into() }
}

fn of_system(table: &str) -> Right {
    right(&["SELECT"], format!("system.{table}"))
}

impl Right {
    /// A question that answers 1 where all of it is granted, by roles too. It takes neither a format nor a session that only reads.
    pub fn check(&self) -> String {
        format!("CHECK GRANT {} ON {}", self.privileges.join(", "), self.on)
    }

    /// The statement that grants it.
    pub fn grant(&self, user: &str) -> String {
        format!("GRANT {} ON {} TO {}", self.privileges.join(", "), self.on, identifier(user))
    }

    /// Each of its privileges alone.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        self.privileges.iter().map(|privilege| right(&[*privilege], self.on.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_code_has_every_statement() {
        let page = include_str!("../../../../docs/errors/LS-0204.md");
        let (raw, views) = ("lockstep_raw".to_owned(), "lockstep".to_owned());
        let databases = Databases { raw, views, cluster: None, fsync: false };
        for right in rights(&databases).into_iter().chain(rights_to_manage_access()) {
            let statement = right.grant("lockstep").replace('`', "");
            assert!(page.contains(&format!("{statement};\n")), "{statement}");
        }
        let on_cluster = Databases { cluster: Some("c".to_owned()), ..databases };
        for right in rights(&on_cluster) {
            assert!(right.privileges.iter().all(|privilege| page.contains(privilege)) && page.contains("Distributed"));
        }
    }
}
