//! What Lockstep keeps in a tenant's database beside the rows: how far each mapping is, and fills that are under way.
//!
//! A row of `_lockstep_fill` without a version says that the mapping has to be filled again, and that nobody has begun.

use lockstep_core::{MappingName, SequenceId, TenancyId};
use uuid::Uuid;

use super::{literal, qualified, table};
use crate::mapping::Mapping;
use crate::postgres::stable_hash;

const CURSORS: &str = "_stack_sync_metadata";
const FILLS: &str = "_lockstep_fill";
const STATUS: &str = "lockstep_status";

/// The names of our own tables and view there.
pub const OUR_TABLES: [&str; 3] = [CURSORS, FILLS, STATUS];

/// What our tables are marked with: rows of another tenancy must not be mixed in, whoever wrote down the wrong string.
pub fn owner_comment(tenancy: TenancyId) -> String {
    format!("Lockstep: rows of tenancy {tenancy}")
}

/// Waits until nobody else of ours writes in this database, until the end of the transaction.
pub fn lock() -> String {
    format!("SELECT pg_catalog.pg_advisory_xact_lock({})", stable_hash("lockstep").cast_signed())
}

/// Which of our tables there are: one row, `cursors`, `fills` and `status`, `t` or `f`.
pub fn found_ours() -> String {
    let found = OUR_TABLES.map(|name| format!("pg_catalog.to_regclass({}) IS NOT NULL", literal(&qualified(name))));
    format!("SELECT {}", found.join(", "))
}

/// Creates those of our tables that are missing. Cursors that somebody else wrote say nothing of rows of ours: where fills
/// were not kept before, everything is to be filled.
pub fn create_ours(tenancy: TenancyId, has_cursors: bool, has_fills: bool) -> Vec<String> {
    let [cursors, fills, status] = OUR_TABLES.map(qualified);
    let mut all = Vec::new();
    if !has_cursors {
        all.push(format!("CREATE TABLE {cursors} (mapping_name text PRIMARY KEY, last_synced_sequence_id bigint NOT NULL, updated_at timestamp with time zone NOT NULL)"));
    }
    if !has_fills {
        all.push(format!("CREATE TABLE {fills} (mapping_name text PRIMARY KEY, id uuid, version bigint, after text[], rows bigint NOT NULL, was_empty boolean NOT NULL)"));
        all.push(format!("COMMENT ON TABLE {fills} IS {}", literal(&owner_comment(tenancy))));
        all.push(format!(
            "INSERT INTO {fills} (mapping_name, rows, was_empty) SELECT c.mapping_name, 0, FALSE FROM {cursors} c"
        ));
    }
    all.push(format!("CREATE OR REPLACE VIEW {status} AS SELECT mapping_name, c.last_synced_sequence_id AS through_sequence_id, c.updated_at AS of_time, CASE WHEN f.version IS NOT NULL THEN 'filling'::text WHEN f.rows IS NOT NULL THEN 'to be filled'::text ELSE 'streaming'::text END AS state FROM {cursors} c FULL JOIN {fills} f USING (mapping_name)"));
    all.extend([&cursors, &fills, &status].map(|name| format!("GRANT SELECT ON {name} TO PUBLIC")));
    all
}

/// Where mappings stand: `mapping_name`, `cursor`, `is_fill`, `id`, `version`, `after` (JSON), `rows`, `was_empty`, and the
/// mark of our tables, `owner`. A row for each that is asked for.
pub fn states(mappings: &[MappingName]) -> String {
    let [cursors, fills, _] = OUR_TABLES.map(qualified);
    let asked: Vec<_> = mappings.iter().map(|name| format!("({}::text)", literal(name.as_str()))).collect();
    let asked = if asked.is_empty() { "(NULL::text)".to_owned() } else { asked.join(", ") };
    format!(
        "SELECT w.mapping_name, c.last_synced_sequence_id, f.mapping_name IS NOT NULL, f.id, f.version, pg_catalog.to_json(f.after), f.rows, f.was_empty, pg_catalog.obj_description({fills_literal}::regclass, 'pg_class')\nFROM (VALUES {asked}) w(mapping_name) LEFT JOIN {cursors} c ON c.mapping_name = w.mapping_name LEFT JOIN {fills} f ON f.mapping_name = w.mapping_name",
        fills_literal = literal(&fills),
    )
}

/// The mappings that have a cursor: a row for each.
pub fn names() -> String {
    format!("SELECT c.mapping_name FROM {} c", qualified(CURSORS))
}

/// Whether a mapping streams and its cursor is this: no row where not, so that what follows can depend on it.
pub fn is_held(mapping: &Mapping, at: SequenceId) -> String {
    let [cursors, fills, _] = OUR_TABLES.map(qualified);
    let name = literal(mapping.name.as_str());
    format!(
        "SELECT 1 FROM {cursors} c WHERE c.mapping_name = {name} AND c.last_synced_sequence_id = {at} AND NOT EXISTS (SELECT FROM {fills} f WHERE f.mapping_name = {name})"
    )
}

/// Moves the cursor of a mapping that has one. Never back.
pub fn move_cursor(mapping: &MappingName, to: SequenceId) -> String {
    let [cursors, ..] = OUR_TABLES.map(qualified);
    format!(
        "UPDATE {cursors} c SET last_synced_sequence_id = GREATEST(c.last_synced_sequence_id, {to}), updated_at = pg_catalog.clock_timestamp() WHERE c.mapping_name = {}",
        literal(mapping.as_str())
    )
}

/// As [`move_cursor`], where the mapping streams: returns a row where it did.
pub fn raise_cursor(mapping: &MappingName, to: SequenceId) -> String {
    let [_, fills, _] = OUR_TABLES.map(qualified);
    format!(
        "{} AND NOT EXISTS (SELECT FROM {fills} f WHERE f.mapping_name = c.mapping_name) RETURNING 1",
        move_cursor(mapping, to)
    )
}

/// Writes the cursor that a fill ends with, whatever there was.
pub fn write_cursor(mapping: &Mapping, to: SequenceId) -> String {
    let [cursors, ..] = OUR_TABLES.map(qualified);
    format!(
        "INSERT INTO {cursors} (mapping_name, last_synced_sequence_id, updated_at) VALUES ({}, {to}, pg_catalog.clock_timestamp()) ON CONFLICT (mapping_name) DO UPDATE SET last_synced_sequence_id = EXCLUDED.last_synced_sequence_id, updated_at = EXCLUDED.updated_at",
        literal(mapping.name.as_str())
    )
}

/// Begins a fill, where none is under way.
///
/// It must not end with the cursor that the mapping has now: a page that was read above that one before the fill, and stood
/// still since, would be taken for one that was read after it.
pub fn begin_fill(mapping: &Mapping, id: Uuid, version: SequenceId) -> String {
    let [cursors, fills, _] = OUR_TABLES.map(qualified);
    let name = literal(mapping.name.as_str());
    format!(
        "INSERT INTO {fills} AS f (mapping_name, id, version, after, rows, was_empty) SELECT {name}, '{id}'::uuid, {version}::bigint - (SELECT pg_catalog.count(*) FROM {cursors} c WHERE c.mapping_name = {name} AND c.last_synced_sequence_id = {version}), NULL, 0, NOT EXISTS (SELECT FROM {table})\nON CONFLICT (mapping_name) DO UPDATE SET id = EXCLUDED.id, version = EXCLUDED.version, after = NULL, rows = 0, was_empty = EXCLUDED.was_empty WHERE f.version IS NULL",
        table = table(mapping),
    )
}

/// Moves a fill from `rows` and `after` on: by so many rows, to this key. Returns a row, `was_empty`, where it stood there.
pub fn move_fill(mapping: &Mapping, id: Uuid, from: (u64, Option<&[String]>), to: (u64, Option<&[String]>)) -> String {
    let [_, fills, _] = OUR_TABLES.map(qualified);
    format!(
        "UPDATE {fills} f SET rows = {rows}, after = {after} WHERE f.mapping_name = {name} AND f.id = '{id}'::uuid AND f.rows = {from_rows} AND f.after IS NOT DISTINCT FROM {from_after} RETURNING f.was_empty",
        rows = to.0,
        after = array(to.1),
        name = literal(mapping.name.as_str()),
        from_rows = from.0,
        from_after = array(from.1),
    )
}

fn array(texts: Option<&[String]>) -> String {
    texts.map_or_else(
        || "NULL::text[]".to_owned(),
        |texts| format!("ARRAY[{}]::text[]", texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ")),
    )
}

/// Ends a fill.
pub fn end_fill(mapping: &Mapping) -> String {
    let [_, fills, _] = OUR_TABLES.map(qualified);
    format!("DELETE FROM {fills} f WHERE f.mapping_name = {}", literal(mapping.name.as_str()))
}

/// Says that a mapping has to be filled again, from its first row, whatever is under way.
pub fn refill(mapping: &Mapping) -> String {
    let [_, fills, _] = OUR_TABLES.map(qualified);
    format!(
        "INSERT INTO {fills} (mapping_name, rows, was_empty) VALUES ({}, 0, FALSE) ON CONFLICT (mapping_name) DO UPDATE SET id = NULL, version = NULL, after = NULL, rows = 0",
        literal(mapping.name.as_str())
    )
}

/// Forgets cursor and fill of a mapping: what is under way is not written any more.
pub fn forget(mapping: &Mapping) -> Vec<String> {
    let [cursors, fills, _] = OUR_TABLES.map(qualified);
    let name = literal(mapping.name.as_str());
    [cursors, fills].map(|table| format!("DELETE FROM {table} x WHERE x.mapping_name = {name}")).into()
}

/// Takes our own tables away, which hold nothing of any mapping by then.
pub fn drop_ours() -> Vec<String> {
    let [cursors, fills, status] = OUR_TABLES.map(qualified);
    vec![
        format!("DROP VIEW IF EXISTS {status}"),
        format!("DROP TABLE IF EXISTS {fills}"),
        format!("DROP TABLE IF EXISTS {cursors}"),
    ]
}
