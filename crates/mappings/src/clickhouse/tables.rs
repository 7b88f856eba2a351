//! Raw tables, views over them, the insert, and the two tables of Lockstep's own.
//!
//! `ReplacingMergeTree` keeps the row with the highest sequence of each key, and forgets it where that is a tombstone.
//! There are no partitions: a tombstone must meet its row, and merges never cross partitions.

use super::{Databases, identifier, literal, on_cluster, raw, view_name};
use crate::mapping::{Column, Mapping};

/// The first columns of every raw table, and of its key.
const PLACE: [&str; 2] = ["project_id", "branch_id"];

/// A table as it must be: what `lockstep migrate` creates, and compares existing tables with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableDefinition {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Name, type and default expression (empty where there is none), in order.
    pub columns: Vec<(String, String, String)>,
    /// As in `system.tables.engine_full`, up to its first space: engine with arguments.
    pub engine: String,
    /// As in `system.tables.sorting_key`.
    pub sorting_key: String,
    cluster: Option<String>,
}

impl TableDefinition {
    pub(super) fn new(
        databases: &Databases,
        name: &str,
        columns: Vec<(String, String, String)>,
        engine: &str,
        sorting_key: String,
    ) -> Self {
        let engine = match &databases.cluster {
            // The path must differ between databases and tables; {shard} and {replica} are the server's macros.
            Some(_) => {
                let (kind, arguments) = engine.split_once('(').unwrap_or((engine, ")"));
                format!(
                    "Replicated{kind}('/clickhouse/tables/{{shard}}/{}/{name}', '{{replica}}', {arguments}",
                    databases.raw
                )
            }
            None => engine.to_owned(),
        };
        Self {
            database: databases.raw.clone(),
            name: name.to_owned(),
            columns,
            engine,
            sorting_key,
            cluster: databases.cluster.clone(),
        }
    }

    /// The table that holds the rows: of its own name, or beside the distributed one that has it.
    fn local_name(&self) -> String {
        if self.cluster.is_some() { format!("{}_local", self.name) } else { self.name.clone() }
    }

    /// Statements that create it where it does not exist.
    pub fn create(&self) -> Vec<String> {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|(name, column_type, default)| {
                let default = if default.is_empty() { String::new() } else { format!(" DEFAULT {default}") };
                format!("  {} {column_type}{default}", identifier(name))
            })
            .collect();
        let cluster = on_cluster(self.cluster.as_deref());
        let database = identifier(&self.database);
        // The server keeps the parentheses around a single column, and shows them as part of the key.
        let key =
            if self.sorting_key.contains(',') { format!("({})", self.sorting_key) } else { self.sorting_key.clone() };
        let local = format!(
            "CREATE TABLE IF NOT EXISTS {database}.{}{cluster} (\n{}\n) ENGINE = {}\nORDER BY {key}",
            identifier(&self.local_name()),
            columns.join(",\n"),
            self.engine,
        );
        let distributed = self.cluster.as_ref().map(|name| {
            format!(
                "CREATE TABLE IF NOT EXISTS {database}.{}{cluster} AS {database}.{local}\nENGINE = Distributed({name}, {raw}, {of}, {hash})",
                identifier(&self.name),
                local = identifier(&self.local_name()),
                name = literal(name),
                raw = literal(&self.database),
                of = literal(&self.local_name()),
                // All versions of a row on one shard: replacing happens within a shard.
                hash = if self.columns.iter().any(|(name, ..)| name == "branch_id") {
                    "cityHash64(project_id, branch_id)".to_owned()
                } else {
                    format!("cityHash64({})", self.sorting_key.split(',').next().unwrap_or_default())
                },
            )
        });
        std::iter::once(local).chain(distributed).collect()
    }
}

/// A column without, and one with a default expression.
fn column(name: &str, column_type: &str) -> (String, String, String) {
    (name.to_owned(), column_type.to_owned(), String::new())
}

fn moment(name: &str) -> (String, String, String) {
    (name.to_owned(), "DateTime64(3, 'UTC')".to_owned(), "now64(3)".to_owned())
}

/// The name of the cursor table, in the raw database.
pub fn cursor_table_name() -> &'static str {
    "_stack_sync_metadata"
}

/// The table of cursors. The highest value wins, so a cursor never moves back (CUR-1), whatever arrives last.
pub fn cursor_table(databases: &Databases) -> TableDefinition {
    let columns = vec![
        column("tenancy_id", "UUID"),
        column("mapping_name", "String"),
        column("last_synced_sequence_id", "Int64"),
        moment("updated_at"),
    ];
    let engine = "ReplacingMergeTree(last_synced_sequence_id)";
    TableDefinition::new(databases, cursor_table_name(), columns, engine, "tenancy_id, mapping_name".to_owned())
}

/// The name of the table that remembers which source the data came from (SRC-1), in the raw database.
pub fn source_table_name() -> &'static str {
    "_lockstep_source"
}

/// One row: the source whose changes were last let in. The one that was seen last wins.
pub fn source_table(databases: &Databases) -> TableDefinition {
    let columns = vec![
        column("singleton", "UInt8"),
        column("system_identifier", "String"),
        column("timeline", "UInt32"),
        moment("seen_at"),
    ];
    let engine = "ReplacingMergeTree(seen_at)";
    TableDefinition::new(databases, source_table_name(), columns, engine, "singleton".to_owned())
}

/// The statements that create both databases where they do not exist.
pub fn create_databases(databases: &Databases) -> Vec<String> {
    let cluster = on_cluster(databases.cluster.as_deref());
    [&databases.raw, &databases.views]
        .map(|name| format!("CREATE DATABASE IF NOT EXISTS {}{cluster}", identifier(name)))
        .to_vec()
}

/// The raw table of a mapping: location, columns, then Lockstep's own.
pub fn raw_table(mapping: &Mapping, databases: &Databases) -> TableDefinition {
    let mut columns = vec![column("project_id", "String"), column("branch_id", "String")];
    columns.extend(mapping.columns.iter().map(|of| column(&of.name, &of.column_type.clickhouse())));
    columns.extend([
        column("sync_sequence_id", "Int64"),
        column("sync_is_deleted", "UInt8"),
        moment("sync_created_at"),
    ]);
    let key: Vec<_> = PLACE.into_iter().chain(mapping.key_columns().map(|column| column.name.as_str())).collect();
    let engine = "ReplacingMergeTree(sync_sequence_id, sync_is_deleted)";
    TableDefinition::new(databases, mapping.name.as_str(), columns, engine, key.join(", "))
}

/// Where a row is, then these columns, as a list of quoted names.
pub(super) fn placed<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    let names = PLACE.into_iter().chain(columns.map(|column| column.name.as_str()));
    names.map(identifier).collect::<Vec<_>>().join(", ")
}

/// What the view of a mapping selects: the latest version of each row, without deleted rows and Lockstep's own columns.
pub fn view_select(mapping: &Mapping, databases: &Databases) -> String {
    let (columns, table) = (placed(mapping.columns.iter()), raw(databases, mapping.name.as_str()));
    format!("SELECT {columns}\nFROM {table} FINAL\nWHERE sync_is_deleted = 0")
}

/// The view that tenants read. It runs with its owner's rights, so tenants need none on the raw table.
pub fn view(mapping: &Mapping, databases: &Databases) -> String {
    format!(
        "CREATE OR REPLACE VIEW {view}{cluster} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n{select}",
        view = view_name(mapping, databases),
        cluster = on_cluster(databases.cluster.as_deref()),
        select = view_select(mapping, databases),
    )
}

/// The insert whose body is `RowBinary` as [`crate::codec`] writes it.
pub fn insert(mapping: &Mapping, databases: &Databases) -> String {
    let (columns, table) = (placed(mapping.columns.iter()), raw(databases, mapping.name.as_str()));
    format!("INSERT INTO {table} ({columns}, `sync_sequence_id`, `sync_is_deleted`) FORMAT RowBinary")
}
