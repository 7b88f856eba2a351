//! SQL for ClickHouse, derived from definitions. Pure text: nothing here talks to a server.

mod access;
mod compare;
pub mod erase;
mod stale;
mod tables;

pub use access::{AccessSql, TenantUser, access_sql, users_xml};
pub use compare::rows as compare_rows;
pub use stale::{count_stale, hide, remove_stale};
pub use tables::{
    TableDefinition, create_databases, cursor_table, cursor_table_name, insert, raw_table, source_table,
    source_table_name, view, view_select,
};

use lockstep_core::settings::ClickHouseSettings;

use crate::mapping::Mapping;

/// What the two databases are called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Databases {
    /// Raw tables and cursors.
    pub raw: String,
    /// Views that tenants read.
    pub views: String,
    /// A cluster, for those who outgrew one machine: statements run `ON CLUSTER`, tables are replicated and distributed.
    pub cluster: Option<String>,
}

impl From<&ClickHouseSettings> for Databases {
    fn from(settings: &ClickHouseSettings) -> Self {
        Self { raw: settings.raw_database.clone(), views: settings.view_database.clone(), cluster: None }
    }
}

/// A quoted name.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A quoted string.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A table of the raw database.
fn raw(databases: &Databases, name: &str) -> String {
    format!("{}.{}", identifier(&databases.raw), identifier(name))
}

/// The view of a mapping.
fn view_name(mapping: &Mapping, databases: &Databases) -> String {
    format!("{}.{}", identifier(&databases.views), identifier(mapping.name.as_str()))
}

fn on_cluster(cluster: Option<&str>) -> String {
    cluster.map_or_else(String::new, |cluster| format!(" ON CLUSTER {}", identifier(cluster)))
}
