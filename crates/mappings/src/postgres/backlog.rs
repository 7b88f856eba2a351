//! Which tenancies have news above their cursor.

use super::names::capture_columns;
use super::quote::table;
use super::{fetch, row, tombstone};
use crate::mapping::Mapping;

/// Tenancies among `$1 uuid[]` with news of this mapping above their cursor in `$2 bigint[]` and not above `$3 bigint`.
///
/// Returns `tenancy_id uuid`. Tombstones that would not ship do not count.
pub fn behind(mapping: &Mapping) -> String {
    let (sequence, _) = capture_columns("s");
    let live = format!(
        "EXISTS (SELECT 1 FROM {source} s WHERE {belongs} AND {sequence} > w.after AND {sequence} <= $3{filter})",
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    );
    let tombstones = tombstone::table_names(mapping).map(|name| {
        format!(
            "EXISTS (SELECT 1 {from_where} AND {sequence} > w.after AND {sequence} <= $3\n  AND {dead})",
            from_where = tombstone::from_where(mapping, name, "w.tenancy_id"),
            sequence = tombstone::sequence(),
            dead = tombstone::key_is_dead(mapping),
        )
    });
    let conditions: Vec<_> = std::iter::once(live).chain(tombstones).collect();
    format!(
        "SELECT w.tenancy_id\nFROM unnest($1::uuid[], $2::bigint[]) AS w(tenancy_id, after)\nCROSS JOIN LATERAL {tenancy}\nWHERE {conditions}",
        tenancy = fetch::tenancy_lookup(),
        conditions = conditions.join("\n  OR "),
    )
}
