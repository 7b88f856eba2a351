//! Rows that are to be looked at and shipped anew, whatever they are now.

use super::inbox::INBOXES;
use super::key::{slot_names, slots};
use super::names::CONTROL_SCHEMA;
use super::target::Target;
use crate::mapping::Mapping;

/// Writes keys of a mapping into an inbox, so that they are numbered and shipped anew: tenancies `$1 uuid[]`, and beside each the values of
/// its key as text, a list for each column of the key from `$2 text[]` on. What the source has of them then goes out, or a tombstone.
pub fn mark(mapping: &Mapping, inbox: usize) -> String {
    let slots = slots(mapping);
    let names: Vec<_> = (1..=slots.len()).map(|index| format!("k{index}")).collect();
    let lists: Vec<_> = (0..slots.len()).map(|index| format!("${}::text[]", index + 2)).collect();
    let values: Vec<_> =
        slots.iter().zip(&names).map(|(slot, name)| format!("w.{name}::{}", slot.slot_type())).collect();
    format!(
        "INSERT INTO {CONTROL_SCHEMA}.{inbox} (target, tenancy_id, {columns})\nSELECT {target}, w.tenancy, {values} FROM unnest($1::uuid[], {lists}) w(tenancy, {names})",
        inbox = INBOXES[inbox],
        columns = slot_names(mapping),
        target = Target::row(mapping).id(),
        values = values.join(", "),
        lists = lists.join(", "),
        names = names.join(", "),
    )
}
