//! What erasure asks of the source.

use lockstep_core::TenancyId;

use super::compare::{Key, at_wanted, key_is_wanted, key_text, wanted};
use super::names::{CONTROL_SCHEMA, table, tenancy_table};
use super::row;
use crate::mapping::Mapping;

/// How long what was read may still be written, as an interval. After a change the longer of two values counts until
/// nothing can be under way that was read under it.
pub fn late_write_limit() -> String {
    format!(
        "(SELECT CASE WHEN clock_timestamp() < changed_at + previous THEN GREATEST(value, previous) ELSE value END FROM {CONTROL_SCHEMA}.setting WHERE name = 'late_write_limit')"
    )
}

/// How long whoever removes rows waits, as an interval: longer than anything that was read before can still be written,
/// the part of the limit that a worker gives the destination included.
pub fn erasure_wait() -> String {
    format!("{} * 1.5", late_write_limit())
}

/// The condition that the erasure `e` is of a tenancy that was paused for it, and still is: whether it exists does not matter.
pub fn stands_paused(e: &str) -> String {
    format!(
        "{e}.paused AND EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.pause f WHERE f.kind = 'tenancy' AND f.name = {e}.tenancy_id::text)"
    )
}

/// The condition that the erasure of the tenancy `tenancy_id` (an expression), which is gone, is still on its way: its
/// time has not come, or came only a while ago.
pub(super) fn is_being_erased(tenancy_id: &str) -> String {
    let due = format!("clock_timestamp() - {} - interval '10 minutes'", erasure_wait());
    format!(
        "(EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location g WHERE g.tenancy_id = {tenancy_id} AND g.gone_at > {due}) OR EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.erasure e WHERE e.tenancy_id = {tenancy_id} AND e.finished_at IS NULL AND e.requested_at > {due}))"
    )
}

/// Those of `keys` that no row of the source has, at their place, other than rows of the tenancies `except`: each as
/// canonical text, one text column for each key column.
pub fn dead_keys(mapping: &Mapping, keys: &[Key], except: &[TenancyId]) -> String {
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    let columns: Vec<_> = (1..=mapping.key.len()).map(|index| key_text(&format!("w.k{index}"))).collect();
    format!(
        "SELECT {columns}\nFROM {wanted}\nWHERE NOT EXISTS (SELECT 1 FROM {tenancies} t JOIN {source} s ON {belongs}\n  WHERE t.\"id\" <> ALL ('{{{except}}}'::uuid[]) AND {here} AND {same}{filter})",
        columns = columns.join(", "),
        wanted = wanted(mapping, keys),
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        except = except.join(","),
        here = at_wanted("t"),
        same = key_is_wanted(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    )
}
