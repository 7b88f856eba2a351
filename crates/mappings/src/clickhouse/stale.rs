//! Rows that are not in the source any more, once all that are were exported again.
//!
//! A fill has a number, the floor, and ships every row of the source with it; what changes meanwhile comes with a greater
//! one. When all have arrived, a key whose winning version is below the floor is in the destination alone. Its tombstone
//! gets the floor as its version: it beats everything that is stale, and nothing that came since.

use lockstep_core::{Location, SequenceId};

use super::compare::in_locations;
use super::tables::placed;
use super::{Databases, raw};
use crate::mapping::Mapping;

/// Old versions and deleted rows must not show again where a profile has set these otherwise.
const SETTINGS: &str =
    "max_threads = 2, do_not_merge_across_partitions_select_final = 0, optimize_move_to_prewhere_if_final = 0";

/// Rows that are shown, with such numbers, at `locations` (none: everywhere).
fn shown(mapping: &Mapping, databases: &Databases, numbers: &str, locations: Option<&[Location]>) -> String {
    let at = locations.map_or_else(String::new, |locations| format!(" AND {}", in_locations(locations)));
    format!(
        "FROM {} FINAL\nWHERE sync_is_deleted = 0 AND sync_sequence_id {numbers}{at}\nSETTINGS {SETTINGS}",
        raw(databases, mapping.name.as_str()),
    )
}

/// Writes tombstones of this version for such rows. Doing it again changes nothing.
fn write_tombstones(
    mapping: &Mapping,
    databases: &Databases,
    version: SequenceId,
    numbers: &str,
    locations: Option<&[Location]>,
) -> String {
    let key = placed(mapping.key_columns());
    format!(
        "INSERT INTO {} ({key}, sync_sequence_id, sync_is_deleted)\nSELECT {key}, {version}, 1 {}",
        raw(databases, mapping.name.as_str()),
        shown(mapping, databases, numbers, locations),
    )
}

/// How many rows are stale at `locations` (none: everywhere).
pub fn count_stale(
    mapping: &Mapping,
    databases: &Databases,
    floor: SequenceId,
    locations: Option<&[Location]>,
) -> String {
    format!("SELECT count() {}", shown(mapping, databases, &format!("< {floor}"), locations))
}

/// Writes a tombstone for each stale row.
pub fn remove_stale(
    mapping: &Mapping,
    databases: &Databases,
    floor: SequenceId,
    locations: Option<&[Location]>,
) -> String {
    write_tombstones(mapping, databases, floor, &format!("< {floor}"), locations)
}

/// Hides all rows at these places with a number up to this one; what has such a number and arrives later, too.
pub fn hide(mapping: &Mapping, databases: &Databases, up_to: SequenceId, places: &[Location]) -> String {
    write_tombstones(mapping, databases, up_to, &format!("<= {up_to}"), Some(places))
}
