//! Rows that are not in the source any more, once all that are were exported again.
//!
//! A fill has a number, the floor, and ships every row of the source with it; what changes meanwhile comes with a greater
//! one. When all have arrived, a key whose winning version is below the floor is in the destination alone. Its tombstone
//! gets the floor as its version: it beats everything that is stale, and nothing that came since.

use lockstep_core::{Location, SequenceId};

use super::compare::in_locations;
use super::{Databases, identifier, table_name};
use crate::mapping::Mapping;

/// A reader that is not in a hurry.
const SETTINGS: &str = "max_threads = 2";

/// Where rows are looked for that only the destination has.
#[derive(Clone, Copy, Debug)]
pub enum StaleAt<'a> {
    /// At these places.
    These(&'a [Location]),
    /// Everywhere else. With no place: everywhere.
    AllBut(&'a [Location]),
}

/// Rows that are shown with a number below the floor.
fn stale(mapping: &Mapping, databases: &Databases, floor: SequenceId, at: StaleAt<'_>) -> String {
    let at = match at {
        StaleAt::These(places) => format!(" AND {}", in_locations(places)),
        StaleAt::AllBut([]) => String::new(),
        StaleAt::AllBut(places) => format!(" AND NOT ({})", in_locations(places)),
    };
    format!(
        "FROM {}.{} FINAL\nWHERE sync_is_deleted = 0 AND sync_sequence_id < {floor}{at}\nSETTINGS {SETTINGS}",
        identifier(&databases.raw),
        identifier(&table_name(mapping)),
    )
}

/// How many rows are stale there.
pub fn count_stale(mapping: &Mapping, databases: &Databases, floor: SequenceId, at: StaleAt<'_>) -> String {
    format!("SELECT count() {}", stale(mapping, databases, floor, at))
}

/// Writes a tombstone for each stale row. Doing it again changes nothing.
pub fn remove_stale(mapping: &Mapping, databases: &Databases, floor: SequenceId, at: StaleAt<'_>) -> String {
    let key: Vec<_> = ["project_id", "branch_id"]
        .into_iter()
        .chain(mapping.key_columns().map(|column| column.name.as_str()))
        .map(identifier)
        .collect();
    let key = key.join(", ");
    format!(
        "INSERT INTO {raw}.{name} ({key}, sync_sequence_id, sync_is_deleted)\nSELECT {key}, {floor}, 1 {stale}",
        raw = identifier(&databases.raw),
        name = identifier(&table_name(mapping)),
        stale = stale(mapping, databases, floor, at),
    )
}
