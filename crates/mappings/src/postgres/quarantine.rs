//! Rows that a destination refused, found again by the number they were stamped with.

use super::names::{CONTROL_SCHEMA, FLAG_COLUMN, SEQUENCE_COLUMN, deleted_row_table, tenancy_table};
use super::quote::{identifier, literal, table};
use super::{fetch, row, tombstone};
use crate::mapping::Mapping;

/// Of the pairs of a tenancy in `$1 uuid[]` and a number in `$2 bigint[]` those that a row or tombstone of this mapping
/// carries. Returns `tenancy_id uuid`, `sequence bigint`, `is_tombstone bool`, `key jsonb` (destination columns).
///
/// A tombstone whose key lives counts only where the tenancy has former locations: it ships there alone.
pub fn carried(mapping: &Mapping) -> String {
    let key = |value: &dyn Fn(&crate::mapping::Column) -> String| {
        let pairs: Vec<_> =
            mapping.key_columns().map(|column| format!("{}, {}", literal(&column.name), value(column))).collect();
        format!("jsonb_build_object({})", pairs.join(", "))
    };
    let live = format!(
        "(SELECT FALSE AS is_tombstone, {key} AS key FROM {source} s WHERE {belongs} AND s.\"{SEQUENCE_COLUMN}\" = w.sequence{filter})",
        key = key(&|column| row::exported(column, "s")),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        filter = row::and_filter(mapping, "s"),
    );
    let tombstones = tombstone::table_names(mapping).map(|name| {
        format!(
            "(SELECT TRUE, {key} {from_where} AND {sequence} = w.sequence\n  AND ({dead} OR EXISTS (SELECT 1 FROM {CONTROL_SCHEMA}.tenancy_location l WHERE l.tenancy_id = w.tenancy_id AND (l.project_id, l.branch_id) <> (t.\"projectId\", t.\"branchId\"))))",
            key = key(&|column| format!("k.{}", identifier(&column.name))),
            from_where = tombstone::from_where(mapping, name, "w.tenancy_id"),
            sequence = tombstone::sequence(),
            dead = tombstone::key_is_dead(mapping),
        )
    });
    let branches: Vec<_> = std::iter::once(live).chain(tombstones).collect();
    format!(
        "SELECT w.tenancy_id, w.sequence, r.is_tombstone, r.key\nFROM unnest($1::uuid[], $2::bigint[]) AS w(tenancy_id, sequence)\nCROSS JOIN LATERAL {tenancy}\nCROSS JOIN LATERAL (\n{branches}) r",
        tenancy = fetch::tenancy_lookup(),
        branches = branches.join("\nUNION ALL\n"),
    )
}

/// Flags the rows and the tombstones that carry these numbers (parameters as for [`carried`]), so that they are stamped
/// and shipped anew. Each statement returns how many rows it changed.
pub fn flag(mapping: &Mapping) -> [String; 2] {
    let names: Vec<_> = tombstone::table_names(mapping).map(literal).collect();
    let numbers = "unnest($1::uuid[], $2::bigint[]) AS w(tenancy_id, sequence)";
    [
        format!(
            "UPDATE {source} s SET \"{FLAG_COLUMN}\" = TRUE FROM {numbers} JOIN {tenancies} t ON t.\"id\" = w.tenancy_id\nWHERE {belongs} AND s.\"{SEQUENCE_COLUMN}\" = w.sequence",
            source = table(&mapping.source),
            tenancies = table(&tenancy_table()),
            belongs = row::belongs(mapping, "s"),
        ),
        format!(
            "UPDATE {deleted} d SET \"{FLAG_COLUMN}\" = TRUE FROM {numbers}\nWHERE d.\"tenancyId\" = w.tenancy_id AND d.\"tableName\" IN ({names}) AND {sequence} = w.sequence",
            deleted = table(&deleted_row_table()),
            names = names.join(", "),
            sequence = tombstone::sequence(),
        ),
    ]
}
