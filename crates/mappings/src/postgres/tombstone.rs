//! Reading tombstones: keys as a mapping sees them, whoever wrote them.
//!
//! Lockstep's own tombstones name every key column in `"primaryKey"`; those of an earlier system may hold only
//! `{tenancyId, id}` there and the natural key in `"data"`. A key that cannot be read belongs to no row and is left out.

use super::names::{capture_columns, deleted_row_table};
use super::quote::{identifier, literal, table};
use super::row;
use crate::column_type::BaseType;
use crate::mapping::Mapping;

/// A key column read from the tombstone `d`: null where it is missing or is no value of its type.
fn key_value(base: BaseType, source: &str) -> String {
    let name = literal(source);
    let text = format!("COALESCE(d.\"primaryKey\" ->> {name}, d.\"data\" ->> {name})");
    let cast = base.postgres_cast();
    let integer = |least: i64, most: i64| {
        format!(
            "CASE WHEN {text} ~ '^-?[0-9]{{1,19}}$' THEN CASE WHEN ({text})::numeric BETWEEN {least} AND {most} THEN ({text})::{cast} END END"
        )
    };
    // A cast that fails would stop the whole mapping for its tenancy, so each is tried on matching text only.
    match base {
        BaseType::Uuid => {
            format!(
                "CASE WHEN {text} ~ '^[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}$' THEN ({text})::{cast} END"
            )
        }
        BaseType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
        BaseType::Int64 => integer(i64::MIN, i64::MAX),
        _ => text,
    }
}

/// `FROM` and `WHERE` of the tombstones of `mapping` that were recorded under `table_name`, with the key columns as
/// `k."name"`, for the tenancy `tenancy_id` (an expression).
pub(super) fn from_where(mapping: &Mapping, table_name: &str, tenancy_id: &str) -> String {
    let keys: Vec<_> = mapping
        .key_sources()
        .map(|(column, source)| {
            format!("{} AS {}", key_value(column.column_type.base, source), identifier(&column.name))
        })
        .collect();
    let readable: Vec<_> =
        mapping.key_columns().map(|column| format!("k.{} IS NOT NULL", identifier(&column.name))).collect();
    format!(
        "FROM {deleted} d\n  CROSS JOIN LATERAL (SELECT {keys}) k\n  WHERE d.\"tenancyId\" = {tenancy_id} AND d.\"tableName\" = {name} AND {readable}",
        deleted = table(&deleted_row_table()),
        keys = keys.join(", "),
        name = literal(table_name),
        readable = readable.join(" AND "),
    )
}

/// The condition that the key `k` lives in no row of the tenancy `t`: DEL-1. A tombstone whose key lives must not ship.
pub(super) fn key_is_dead(mapping: &Mapping) -> String {
    let same: Vec<_> = mapping
        .key_sources()
        .map(|(column, source)| {
            let cast = column.column_type.base.postgres_cast();
            format!("(s.{})::{cast} = k.{}", identifier(source), identifier(&column.name))
        })
        .collect();
    format!(
        "NOT EXISTS (SELECT 1 FROM {source} s WHERE {belongs} AND {same}{filter})",
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        same = same.join(" AND "),
        filter = row::and_filter(mapping, "s"),
    )
}

/// The columns of a tombstone row: its key, and blanks where it has no value.
pub(super) fn select_list(mapping: &Mapping, key: impl Fn(&str) -> String) -> String {
    let columns: Vec<_> = mapping
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let base = column.column_type.base;
            let value = if mapping.key.contains(&index) {
                key(&column.name)
            } else if column.column_type.nullable {
                format!("NULL::{}", base.postgres_cast())
            } else {
                base.blank().to_owned()
            };
            format!("{value} AS {}", identifier(&column.name))
        })
        .collect();
    columns.join(", ")
}

/// Every name under which tombstones of `mapping` are found.
pub(super) fn table_names(mapping: &Mapping) -> impl Iterator<Item = &str> {
    std::iter::once(mapping.source.name.as_str()).chain(mapping.former_tombstones.iter().map(String::as_str))
}

/// The sequence of the tombstone `d`.
pub(super) fn sequence() -> String {
    capture_columns("d").0
}
