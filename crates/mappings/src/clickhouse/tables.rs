//! Raw tables, views over them, and the insert.
//!
//! `ReplacingMergeTree` keeps the row with the highest sequence of each key, and forgets it where that is a tombstone.
//! There are no partitions: a tombstone must meet its row, and merges never cross partitions.

use uuid::Uuid;

use super::{Databases, identifier, literal, local_name, on_cluster, table_name};
use crate::mapping::Mapping;

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
    pub(super) databases: Databases,
}

/// What keeps an insert unacknowledged until it is on the disk. Settings of a table: no statement can ask for them.
const FSYNC: [&str; 2] = ["fsync_after_insert", "fsync_part_directory"];

impl TableDefinition {
    /// A table of the raw database. `columns`: name, type, default expression.
    pub fn new(
        databases: &Databases,
        name: &str,
        columns: &[(&str, &str, &str)],
        engine: &str,
        sorting_key: &str,
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
            columns: columns.iter().map(|&(name, kind, default)| (name.into(), kind.into(), default.into())).collect(),
            engine,
            sorting_key: sorting_key.to_owned(),
            databases: databases.clone(),
        }
    }

    /// The table that holds the rows.
    pub fn local_name(&self) -> String {
        local_name(&self.name, &self.databases)
    }

    /// The engine of the table that has the name, where another one on each shard holds the rows.
    ///
    /// All versions of a row have to be on one shard: replacing happens within a shard. So its key is not what decides, but
    /// where it is, which every version of it says.
    pub fn distributed_engine(&self) -> Option<String> {
        let cluster = self.databases.cluster.as_ref()?;
        let hash = if self.columns.iter().any(|(name, ..)| name == "branch_id") {
            "cityHash64(project_id, branch_id)".to_owned()
        } else {
            format!("cityHash64({})", self.sorting_key.split(',').next().unwrap_or_default())
        };
        let (raw, local) = (literal(&self.database), literal(&self.local_name()));
        Some(format!("Distributed({}, {raw}, {local}, {hash})", literal(cluster)))
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
        let (cluster, database) = (on_cluster(&self.databases), identifier(&self.database));
        let local = identifier(&self.local_name());
        // The server keeps the parentheses around a single column, and shows them as part of the key.
        let key =
            if self.sorting_key.contains(',') { format!("({})", self.sorting_key) } else { self.sorting_key.clone() };
        let settings = if self.databases.fsync { format!("\nSETTINGS {}", fsync(true)) } else { String::new() };
        let rows = format!(
            "CREATE TABLE IF NOT EXISTS {database}.{local}{cluster} (\n{},\n  CONSTRAINT {}\n) ENGINE = {}\nORDER BY {key}{settings}",
            columns.join(",\n"),
            in_time(),
            self.engine,
        );
        let distributed = self.distributed_engine().map(|engine| {
            let name = identifier(&self.name);
            format!("CREATE TABLE IF NOT EXISTS {database}.{name}{cluster} AS {database}.{local}\nENGINE = {engine}")
        });
        std::iter::once(rows).chain(distributed).collect()
    }

    /// The statement after which inserts are acknowledged as [`Databases::fsync`] says, where a table with this `engine_full`
    /// does otherwise.
    pub fn set_fsync(&self, engine_full: &str) -> Option<String> {
        let is_on = FSYNC.iter().all(|name| engine_full.contains(&format!("{name} = 1")));
        (is_on != self.databases.fsync).then(|| {
            format!(
                "ALTER TABLE {}.{}{} MODIFY SETTING {}",
                identifier(&self.database),
                identifier(&self.local_name()),
                on_cluster(&self.databases),
                fsync(self.databases.fsync)
            )
        })
    }

    /// The insert of all columns that have no default, whose body is `RowBinary`. The server refuses it as [`IN_TIME`] says.
    pub fn insert(&self) -> String {
        let names = self.columns.iter().filter(|(.., default)| default.is_empty()).map(|(name, ..)| identifier(name));
        format!(
            "INSERT INTO {}.{} ({}) FORMAT RowBinary",
            identifier(&self.database),
            identifier(&self.name),
            names.collect::<Vec<_>>().join(", "),
        )
    }

    /// The statement that gives a table [`IN_TIME`] that has none.
    pub fn add_in_time(&self) -> String {
        format!(
            "ALTER TABLE {}.{}{} ADD CONSTRAINT IF NOT EXISTS {}",
            identifier(&self.database),
            identifier(&self.local_name()),
            on_cluster(&self.databases),
            in_time(),
        )
    }
}

/// The name of the constraint that has the server refuse an insert which begins, by its own clock, later than the comment of
/// the query says: see [`write_until`]. It costs no question that is asked before, and a tenth of what a condition of the
/// insert costs. An insert of anybody else says nothing of the kind.
pub const IN_TIME: &str = "lockstep_in_time";

const WRITE_UNTIL: &str = "write_until_ms=";

/// What the setting `log_comment` of an insert has to hold. `since_epoch_ms`: milliseconds since 1970. `flush` names what the
/// insert is a part of, for whoever looks into the server's log of queries.
pub fn write_until(since_epoch_ms: i64, flush: Option<Uuid>) -> String {
    let name = flush.map_or_else(|| "lockstep".to_owned(), |flush| format!("lockstep-{flush}"));
    format!("{name} {WRITE_UNTIL}{since_epoch_ms}")
}

fn in_time() -> String {
    format!(
        "{IN_TIME} CHECK toUnixTimestamp64Milli(now64(3)) < toInt64OrDefault(extract(getSetting('log_comment'), '{WRITE_UNTIL}([0-9]+)'), toInt64({}))",
        i64::MAX
    )
}

fn fsync(is_on: bool) -> String {
    FSYNC.map(|name| format!("{name} = {}", u8::from(is_on))).join(", ")
}

/// The statements that create both databases where they do not exist.
pub fn create_databases(databases: &Databases) -> Vec<String> {
    [&databases.raw, &databases.views]
        .map(|name| format!("CREATE DATABASE IF NOT EXISTS {}{}", identifier(name), on_cluster(databases)))
        .to_vec()
}

/// The raw table of a mapping: location, columns, then Lockstep's own.
pub fn raw_table(mapping: &Mapping, databases: &Databases) -> TableDefinition {
    let exported: Vec<_> =
        mapping.columns.iter().map(|column| (column.name.as_str(), column.column_type.clickhouse())).collect();
    let mut columns = vec![("project_id", "String", ""), ("branch_id", "String", "")];
    columns.extend(exported.iter().map(|(name, column_type)| (*name, &**column_type, "")));
    columns.extend([
        ("sync_sequence_id", "Int64", ""),
        ("sync_is_deleted", "UInt8", ""),
        ("sync_created_at", "DateTime64(3, 'UTC')", "now64(3)"),
    ]);
    let key: Vec<_> = ["project_id", "branch_id"]
        .into_iter()
        .chain(mapping.key_columns().map(|column| column.name.as_str()))
        .collect();
    TableDefinition::new(
        databases,
        &table_name(mapping),
        &columns,
        "ReplacingMergeTree(sync_sequence_id, sync_is_deleted)",
        &key.join(", "),
    )
}
