//! Who may read what (ISO-1): one policy, rendered as SQL for servers that manage access in SQL, and as users XML for
//! servers that manage it in files.
//!
//! The policy: a tenant reads the views, and of them the rows of its own project and branch, and nothing else.

use std::fmt::Write as _;

use lockstep_core::Location;

use super::{Databases, identifier, literal, on_cluster};
use crate::set::MappingSet;

/// Session settings that say who asks, for servers where one user serves all tenants.
const PROJECT_SETTING: &str = "SQL_project_id";
const BRANCH_SETTING: &str = "SQL_branch_id";

/// The SQL rendering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessSql {
    /// Statements in order; each can be run again.
    pub statements: Vec<String>,
}

/// A tenant's own user, for the XML rendering.
#[derive(Clone, Debug)]
pub struct TenantUser {
    /// The user's name.
    pub name: String,
    /// SHA-256 of its password in hexadecimal.
    pub password_sha256_hex: String,
    /// Whose rows it reads.
    pub location: Location,
}

/// Roles, grants and row policies. Needs `custom_settings_prefixes` to include `SQL_` on the server.
pub fn access_sql(set: &MappingSet, databases: &Databases, role: &str) -> AccessSql {
    let (cluster, role) = (on_cluster(databases), identifier(role));
    let mut statements = vec![format!("CREATE ROLE IF NOT EXISTS {role}{cluster}")];
    for mapping in set.iter() {
        let view = format!("{}.{}", identifier(&databases.views), identifier(mapping.name.as_str()));
        let policy = identifier(&format!("lockstep_{}", mapping.name));
        statements.push(format!("GRANT{cluster} SELECT ON {view} TO {role}"));
        statements.push(format!(
            "CREATE ROW POLICY IF NOT EXISTS {policy}{cluster} ON {view} FOR SELECT USING project_id = getSetting('{PROJECT_SETTING}') AND branch_id = getSetting('{BRANCH_SETTING}') TO {role}"
        ));
    }
    AccessSql { statements }
}

/// A `<users>` section with one user a tenant, to be included in the file that `users_config` names.
pub fn users_xml(set: &MappingSet, databases: &Databases, users: &[TenantUser]) -> String {
    let mut xml = "<users>\n".to_owned();
    for user in users {
        let filter = escape(&format!(
            "project_id = {} AND branch_id = {}",
            literal(&user.location.project_id),
            literal(&user.location.branch_id)
        ));
        let name = escape(&user.name);
        let _ = writeln!(
            xml,
            "  <{name}>\n    <password_sha256_hex>{}</password_sha256_hex>",
            escape(&user.password_sha256_hex)
        );
        let _ = writeln!(xml, "    <profile>default</profile>\n    <quota>default</quota>\n    <grants>");
        for mapping in set.iter() {
            let view = format!("{}.{}", identifier(&databases.views), identifier(mapping.name.as_str()));
            let _ = writeln!(xml, "      <query>GRANT SELECT ON {}</query>", escape(&view));
        }
        let views = escape(&databases.views);
        let _ = writeln!(xml, "    </grants>\n    <databases>\n      <{views}>");
        for mapping in set.iter() {
            let _ = writeln!(xml, "        <{0}><filter>{filter}</filter></{0}>", mapping.name);
        }
        let _ = writeln!(xml, "      </{views}>\n    </databases>\n  </{name}>");
    }
    xml.push_str("</users>\n");
    xml
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
