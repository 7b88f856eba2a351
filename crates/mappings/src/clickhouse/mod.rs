//! SQL for ClickHouse, derived from definitions. Pure text: nothing here talks to a server.

pub mod access;
mod compare;
mod cursors;
pub mod erase;
pub mod plant;
pub mod rights;
pub mod settings;
mod source;
mod stale;
mod swap;
mod tables;
mod view;

pub use compare::{
    Measure, ahead, content, numbers, places as places_of_key, rows as compare_rows, versions, versions_of_keys,
};
pub use cursors::{cursor_table, cursor_table_name};
pub use source::{source_table, source_table_name};
pub use stale::{StaleAt, count_stale, remove_stale};
pub use swap::{
    MARK_OF_REPLACED, REPLACED, add_column, allow_inserts, drop_column, drop_everything, drop_table, exchange,
    forbid_inserts, keep_replaced, places_taken, replaced_name, table_name, take_place,
};
pub use tables::{IN_TIME, TableDefinition, create_databases, raw_table, write_until};
pub use view::{Comments, bridge_view, view, view_rows, view_select};

use lockstep_core::settings::ClickHouseSettings;

/// What the two databases are called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Databases {
    /// Raw tables and cursors.
    pub raw: String,
    /// Views that tenants read.
    pub views: String,
    /// A cluster, for those who outgrew one machine: statements run `ON CLUSTER`, tables are replicated and distributed.
    pub cluster: Option<String>,
    /// Inserts are on the disk before they are acknowledged.
    pub fsync: bool,
}

impl From<&ClickHouseSettings> for Databases {
    fn from(settings: &ClickHouseSettings) -> Self {
        Self {
            raw: settings.raw_database.clone(),
            views: settings.view_database.clone(),
            cluster: settings.cluster.clone(),
            fsync: settings.fsync,
        }
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

/// A table of the database `system`, of every server of a cluster: what it tells is the server's own.
pub fn each_server(system_table: &str, databases: &Databases) -> String {
    match &databases.cluster {
        Some(cluster) => format!("clusterAllReplicas({}, system.{system_table})", literal(cluster)),
        None => format!("system.{system_table}"),
    }
}

/// The table that holds rows: the one of that name, or on a cluster the one beside it, on each shard.
pub fn local_name(name: &str, databases: &Databases) -> String {
    if databases.cluster.is_some() { format!("{name}_local") } else { name.to_owned() }
}

fn on_cluster(databases: &Databases) -> String {
    databases.cluster.as_ref().map_or_else(String::new, |cluster| format!(" ON CLUSTER {}", identifier(cluster)))
}
