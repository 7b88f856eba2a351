//! How a table becomes another while it is read: a column is added or dropped in place; for everything else the right table
//! is built beside it, filled, and takes its place in one statement. On a cluster no table takes another's place (LS-0027):
//! what does that has no form for one.

use super::tables::TableDefinition;
use super::{Databases, cursor_table_name, identifier, literal, local_name, on_cluster, source_table_name};
use crate::mapping::Mapping;

/// What the name of a table ends in that is built beside the one whose place it takes.
const BESIDE: &str = "_lockstep_new";
/// What the name of a table ends in whose place was taken, and that is kept.
pub const REPLACED: &str = "_lockstep_old";
/// The constraint of a table whose place is taken: it lets nothing in. Inserts find it in the table that a name stands for at
/// their moment, so a row that is meant for the new table can never get into the old one, whatever it is called.
pub const MARK_OF_REPLACED: &str = "lockstep_replaced";

/// The raw table that the rows of a mapping are in.
pub fn table_name(mapping: &Mapping) -> String {
    format!("{}{}", mapping.name, if mapping.is_beside { BESIDE } else { "" })
}

/// What the table is called that a mapping's table has replaced, where it is kept.
pub fn replaced_name(mapping: &Mapping) -> String {
    format!("{}{REPLACED}", mapping.name)
}

/// The statements that change a table in place: on a cluster the tables of all shards first.
fn alter(table: &TableDefinition, change: &str) -> Vec<String> {
    let (database, cluster) = (identifier(&table.database), on_cluster(&table.databases));
    let alter = |name: &String| format!("ALTER TABLE {database}.{}{cluster} {change}", identifier(name));
    names(&table.name, &table.databases).iter().map(alter).collect()
}

/// Adds a column of its definition. Rows that are there have the empty value of its type until they come again.
pub fn add_column(table: &TableDefinition, name: &str) -> Vec<String> {
    let Some(at) = table.columns.iter().position(|(column, ..)| column == name) else { return Vec::new() };
    let (_, column_type, default) = &table.columns[at];
    let default = if default.is_empty() { String::new() } else { format!(" DEFAULT {default}") };
    let place = match at.checked_sub(1) {
        Some(before) => format!("AFTER {}", identifier(&table.columns[before].0)),
        None => "FIRST".to_owned(),
    };
    alter(table, &format!("ADD COLUMN IF NOT EXISTS {} {column_type}{default} {place}", identifier(name)))
}

/// Drops a column that its definition does not have.
pub fn drop_column(table: &TableDefinition, name: &str) -> Vec<String> {
    // Queries through the distributed table must not ask for what its shards have no more.
    let mut statements = alter(table, &format!("DROP COLUMN IF EXISTS {}", identifier(name)));
    statements.reverse();
    statements
}

/// Names of a table, on a cluster that of each shard's first.
fn names(name: &str, databases: &Databases) -> Vec<String> {
    let distributed = databases.cluster.as_ref().map(|_| name.to_owned());
    std::iter::once(local_name(name, databases)).chain(distributed).collect()
}

fn of_raw(name: &str, databases: &Databases) -> String {
    format!("{}.{}", identifier(&databases.raw), identifier(name))
}

/// Drops a table and what it holds, where it exists.
pub fn drop_table(name: &str, databases: &Databases) -> Vec<String> {
    let cluster = on_cluster(databases);
    let drop = |name: &String| format!("DROP TABLE IF EXISTS {}{cluster}", of_raw(name, databases));
    names(name, databases).iter().rev().map(drop).collect()
}

/// Drops the views and tables of these mappings, tables beside them, and those of Lockstep's own, where they exist: all that
/// `lockstep migrate` makes but the databases themselves, in which others may have tables too. Of a mapping whose table is built beside
/// another the latter stays, with its view: it may be another system's.
pub fn drop_everything(mappings: &[Mapping], databases: &Databases) -> Vec<String> {
    let (views, cluster) = (identifier(&databases.views), on_cluster(databases));
    let view =
        |mapping: &Mapping| format!("DROP VIEW IF EXISTS {views}.{}{cluster}", identifier(mapping.name.as_str()));
    let own = [cursor_table_name(), source_table_name()];
    let of = |mapping: &Mapping| [table_name(mapping), table_name(&mapping.beside()), replaced_name(mapping)];
    let in_place = || mappings.iter().filter(|mapping| !mapping.is_beside);
    let beside = mappings.iter().filter(|mapping| mapping.is_beside).map(table_name);
    let tables = in_place().flat_map(of).chain(beside).chain(own.map(str::to_owned));
    in_place().map(view).chain(tables.flat_map(|name| drop_table(&name, databases))).collect()
}

/// Lets nothing more into the table of a mapping whose place is to be taken.
pub fn forbid_inserts(mapping: &Mapping, databases: &Databases) -> String {
    format!(
        "ALTER TABLE {} ADD CONSTRAINT IF NOT EXISTS {MARK_OF_REPLACED} CHECK 0",
        of_raw(mapping.name.as_str(), databases)
    )
}

/// Lets rows into a table again whose place was to be taken, and was not.
pub fn allow_inserts(table: &TableDefinition) -> String {
    format!(
        "ALTER TABLE {}.{}{} DROP CONSTRAINT IF EXISTS {MARK_OF_REPLACED}",
        identifier(&table.database),
        identifier(&table.local_name()),
        on_cluster(&table.databases),
    )
}

/// Exchanges the names of a mapping's table and of the one beside it, in one statement: who reads either name finds a whole
/// table at every moment.
pub fn exchange(mapping: &Mapping, databases: &Databases) -> String {
    let [one, other] = both(mapping);
    format!("EXCHANGE TABLES {} AND {}", of_raw(&one, databases), of_raw(&other, databases))
}

/// Gives the table beside a mapping's its name, where there is no table of that name.
pub fn take_place(mapping: &Mapping, databases: &Databases) -> String {
    let [own, beside] = both(mapping);
    rename(&beside, &own, databases)
}

/// Keeps the table that was replaced under another name.
pub fn keep_replaced(mapping: &Mapping, databases: &Databases) -> String {
    rename(&table_name(&mapping.beside()), &replaced_name(mapping), databases)
}

/// The names of a mapping's table and of the one beside it.
fn both(mapping: &Mapping) -> [String; 2] {
    [mapping.name.to_string(), table_name(&mapping.beside())]
}

fn rename(from: &str, to: &str, databases: &Databases) -> String {
    format!("RENAME TABLE {} TO {}", of_raw(from, databases), of_raw(to, databases))
}

/// Which of a mapping's table and the one beside it are there, each with whether its place was taken: its name, and UInt8.
pub fn places_taken(mapping: &Mapping, databases: &Databases) -> String {
    let [one, other] = both(mapping);
    format!(
        "SELECT name, position(create_table_query, {}) > 0\nFROM system.tables\nWHERE database = {} AND name IN ({}, {})",
        literal(MARK_OF_REPLACED),
        literal(&databases.raw),
        literal(&one),
        literal(&other),
    )
}
