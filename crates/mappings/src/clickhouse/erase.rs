//! Taking rows away for good: those of tenancies that are gone (ERASE-1), and tombstones that nothing can need any more.
//!
//! All of it acts on every version of a row, not on the latest alone, and on the table that holds them: on a cluster that
//! is the local one of every shard. A statement that was interrupted can be run again.

use lockstep_core::{Location, SequenceId, TenancyId};

use super::compare::{behind, canonical, in_keys, in_locations, order};
use super::cursors::cursor_table_name;
use super::{Databases, each_server, identifier, literal, local_name, on_cluster, table_name};
use crate::mapping::Mapping;
use crate::postgres::compare::Key;

/// Whoever asks waits until every part, on every replica, is rewritten.
const WAITED_FOR: &str = "SETTINGS mutations_sync = 2";

/// The table to ask.
fn asked(name: &str, databases: &Databases) -> String {
    format!("{}.{}", identifier(&databases.raw), identifier(name))
}

/// The table to change, with the cluster it is changed on.
fn changed(name: &str, databases: &Databases) -> String {
    format!("{}{}", asked(&local_name(name, databases), databases), on_cluster(databases))
}

fn of_places(places: &[Location], up_to: SequenceId) -> String {
    format!("{} AND sync_sequence_id <= {up_to}", in_locations(places))
}

/// How many rows and tombstones there are at these places with a number up to this one: `project_id`, `branch_id`, and
/// their count, which is UInt64. Places without any are not told.
pub fn count_at(mapping: &Mapping, databases: &Databases, places: &[Location], up_to: SequenceId) -> String {
    format!(
        "SELECT project_id, branch_id, count()\nFROM {}\nWHERE {}\nGROUP BY project_id, branch_id",
        asked(&table_name(mapping), databases),
        of_places(places, up_to)
    )
}

/// Removes everything at these places with a number up to this one.
pub fn remove_at(mapping: &Mapping, databases: &Databases, places: &[Location], up_to: SequenceId) -> String {
    format!(
        "ALTER TABLE {} DELETE WHERE {} {WAITED_FOR}",
        changed(&table_name(mapping), databases),
        of_places(places, up_to)
    )
}

/// The next `limit` keys at a place after one, of rows and tombstones with a number up to this one: the key as canonical
/// text, Array(String), and how many there are of it, UInt64.
pub fn keys_at(
    mapping: &Mapping,
    databases: &Databases,
    place: &Location,
    up_to: SequenceId,
    after: Option<&Key>,
    limit: usize,
) -> String {
    let values: Vec<_> = mapping.key_columns().map(|column| format!("CAST({}, 'String')", canonical(column))).collect();
    let columns: Vec<_> = mapping.key_columns().map(|column| identifier(&column.name)).collect();
    let order: Vec<_> = mapping.key_columns().map(order).collect();
    let after = after.map_or_else(String::new, |key| format!(" AND {}", behind(mapping, key)));
    format!(
        "SELECT [{values}], count()\nFROM {table}\nWHERE {here}{after}\nGROUP BY project_id, branch_id, {columns}\nORDER BY {order}\nLIMIT {limit}",
        values = values.join(", "),
        table = asked(&table_name(mapping), databases),
        here = of_places(std::slice::from_ref(place), up_to),
        columns = columns.join(", "),
        order = order.join(", "),
    )
}

/// How many rows and tombstones these keys have up to this number: UInt64.
pub fn count_keys(mapping: &Mapping, databases: &Databases, keys: &[Key], up_to: SequenceId) -> String {
    format!(
        "SELECT count()\nFROM {}\nWHERE {} AND sync_sequence_id <= {up_to}",
        asked(&table_name(mapping), databases),
        in_keys(mapping, keys)
    )
}

/// Removes everything with these keys and a number up to this one.
pub fn remove_keys(mapping: &Mapping, databases: &Databases, keys: &[Key], up_to: SequenceId) -> String {
    format!(
        "ALTER TABLE {} DELETE WHERE {} AND sync_sequence_id <= {up_to} {WAITED_FOR}",
        changed(&table_name(mapping), databases),
        in_keys(mapping, keys)
    )
}

fn of_tenancies(tenancies: &[TenancyId], up_to: SequenceId) -> String {
    let ids: Vec<_> = tenancies.iter().map(|id| literal(&id.to_string())).collect();
    let these = if ids.is_empty() { "0".to_owned() } else { format!("tenancy_id IN ({})", ids.join(", ")) };
    format!("{these} AND last_synced_sequence_id <= {up_to}")
}

/// How many cursor rows these tenancies have up to this number: `tenancy_id`, and their count.
pub fn count_cursors(databases: &Databases, tenancies: &[TenancyId], up_to: SequenceId) -> String {
    format!(
        "SELECT tenancy_id, count()\nFROM {}\nWHERE {}\nGROUP BY tenancy_id",
        asked(cursor_table_name(), databases),
        of_tenancies(tenancies, up_to)
    )
}

/// Removes their cursors, whatever mapping they are of. One that stands higher belongs to a tenancy that came back.
pub fn remove_cursors(databases: &Databases, tenancies: &[TenancyId], up_to: SequenceId) -> String {
    format!(
        "ALTER TABLE {} DELETE WHERE {} {WAITED_FOR}",
        changed(cursor_table_name(), databases),
        of_tenancies(tenancies, up_to)
    )
}

/// Tombstones that came before the moment `before_ms` (milliseconds since 1970, by the server's clock), and all rows, in
/// a mapping's table: both UInt64.
pub fn count_tombstones(mapping: &Mapping, databases: &Databases, before_ms: i64) -> String {
    format!("SELECT countIf({}), count()\nFROM {}", old_tombstone(before_ms), asked(&table_name(mapping), databases))
}

/// Names of the parts that hold a mapping's rows at the moment; on a cluster with the server before each.
pub fn parts(mapping: &Mapping, databases: &Databases) -> String {
    let name =
        if databases.cluster.is_some() { "concat(hostName(), ':', toString(tcpPort()), '/', name)" } else { "name" };
    format!(
        "SELECT {name}\nFROM {}\nWHERE active AND rows > 0 AND database = {} AND table = {}",
        each_server("parts", databases),
        literal(&databases.raw),
        literal(&local_name(&table_name(mapping), databases))
    )
}

/// How many mutations of a mapping's table are not done yet: UInt64.
pub fn rewrites(mapping: &Mapping, databases: &Databases) -> String {
    format!(
        "SELECT count()\nFROM {}\nWHERE NOT is_done AND NOT is_killed AND database = {} AND table = {}",
        each_server("mutations", databases),
        literal(&databases.raw),
        literal(&local_name(&table_name(mapping), databases))
    )
}

/// Merges all parts that there are into one, so that of every key one version is left. Fails where nothing was done.
pub fn merge(mapping: &Mapping, databases: &Databases) -> String {
    format!(
        "OPTIMIZE TABLE {} FINAL SETTINGS optimize_throw_if_noop = 1, optimize_skip_merged_partitions = 0, alter_sync = 2",
        changed(&table_name(mapping), databases)
    )
}

/// Removes tombstones that came before that moment. What they hide must be gone by then: see [`merge`].
pub fn remove_tombstones(mapping: &Mapping, databases: &Databases, before_ms: i64) -> String {
    format!(
        "ALTER TABLE {} DELETE WHERE {} {WAITED_FOR}",
        changed(&table_name(mapping), databases),
        old_tombstone(before_ms)
    )
}

fn old_tombstone(before_ms: i64) -> String {
    format!("sync_is_deleted = 1 AND sync_created_at < fromUnixTimestamp64Milli({before_ms}, 'UTC')")
}
