//! The story of one key in the source: who has it, whether its row is there, what waits to be numbered, and its changes.
//!
//! Keys are canonical text, one value for each key column in order. Ordinary queries without parameters; times are text, in UTC.

use lockstep_core::TenancyId;

use super::compare::searches;
use super::erase::is_being_erased;
use super::inbox;
use super::key::slots;
use super::names::{CONTROL_SCHEMA, identifier, literal, table, tenancy_table};
use super::passes::first_beyond;
use super::row;
use super::target::Target;
use crate::mapping::{Mapping, Tenant};

/// Changes of a tenancy's mapping that are looked through for those of a key, the last ones first: no index begins with a key.
pub const LOOKED_THROUGH: u32 = 100_000;
/// Changes of a key that are told one by one.
const TOLD: u32 = 5;

/// The condition that the row `alias` of the control schema has the key.
fn is_key(mapping: &Mapping, alias: &str, key: &[String]) -> String {
    let slots = slots(mapping);
    let same = slots.iter().zip(key);
    let same = same.map(|(slot, value)| format!("{alias}.{} = {}::{}", slot.name, literal(value), slot.slot_type()));
    same.collect::<Vec<_>>().join(" AND ")
}

/// The condition that the source row `s` has the key.
fn is_row(mapping: &Mapping, key: &[String]) -> String {
    let same = mapping.key_sources().zip(key).map(|((column, source), value)| {
        let cast = column.column_type.base.postgres_cast();
        format!("(s.{})::{cast} = {}::{cast}", identifier(source), literal(value))
    });
    same.collect::<Vec<_>>().join(" AND ")
}

/// An expression of a time as text.
fn utc(time: &str) -> String {
    format!("to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
}

fn of(tenancy: TenancyId) -> String {
    format!("'{tenancy}'::uuid")
}

/// Tenancies that have a row of the key, whether the filter takes it or not: `tenancy_id uuid`, at most `limit`. Indexes of the
/// platform begin with whose a row is: so each tenancy is asked for its own, and the table is not read.
pub fn owners(mapping: &Mapping, key: &[String], limit: usize) -> String {
    format!(
        "SELECT t.\"id\" FROM {tenancies} t\nCROSS JOIN LATERAL (SELECT 1 FROM {source} s WHERE {belongs} AND {is_row} LIMIT 1) s\nLIMIT {limit}",
        tenancies = table(&tenancy_table()),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        is_row = is_row(mapping, key),
    )
}

/// Tenancies of which a line without a number, or the quarantine, names the key: `tenancy_id uuid`, at most `limit`.
pub fn named(mapping: &Mapping, key: &[String], limit: usize) -> String {
    format!(
        "SELECT i.tenancy_id FROM ({unseen}) i WHERE i.target = {row} AND i.tenancy_id IS NOT NULL AND {line}\nUNION SELECT q.tenancy_id FROM {CONTROL_SCHEMA}.quarantine q WHERE q.mapping_name = {name} AND {refused}\nLIMIT {limit}",
        unseen = inbox::unseen(),
        row = Target::row(mapping).id(),
        line = is_key(mapping, "i", key),
        name = literal(mapping.name.as_str()),
        refused = is_key(mapping, "q", key),
    )
}

/// Whether the source table has a row of the key that names the tenancy, which may be gone, whatever the filter says: one `bool`.
/// No expression of the mapping is evaluated.
pub fn is_there(mapping: &Mapping, tenancy: TenancyId, key: &[String]) -> String {
    let (source, is_row, id) = (table(&mapping.source), is_row(mapping, key), of(tenancy));
    match &mapping.tenant {
        Tenant::Column(column) => {
            format!("SELECT EXISTS (SELECT 1 FROM {source} s WHERE s.{} = {id} AND {is_row})", identifier(column))
        }
        Tenant::ProjectAndBranch { .. } => format!(
            "SELECT EXISTS (SELECT 1 FROM {tenancies} t JOIN {source} s ON {belongs} WHERE t.\"id\" = {id} AND {is_row})",
            tenancies = table(&tenancy_table()),
            belongs = row::belongs(mapping, "s"),
        ),
    }
}

/// What of the key has no number yet, in one row: how many lines name it (`bigint`), how many lines and expansions are to be
/// searched that may concern it (`bigint`), since when the first of these expansions waits (`text?`), and whether the tenancy
/// is being erased (`bool`).
pub fn waiting(mapping: &Mapping, tenancy: TenancyId, key: &[String]) -> String {
    let (id, row, searches) = (of(tenancy), Target::row(mapping).id(), searches(mapping));
    // Lines that name a place and no tenancy may be about its rows wherever it is or was.
    let places = format!(
        "SELECT t.\"projectId\", t.\"branchId\" FROM {tenancies} t WHERE t.\"id\" = {id}\n  UNION SELECT h.project_id, h.branch_id FROM {CONTROL_SCHEMA}.tenancy_location h WHERE h.tenancy_id = {id}",
        tenancies = table(&tenancy_table()),
    );
    format!(
        "WITH i AS MATERIALIZED (SELECT i.* FROM ({unseen}) i WHERE i.target IN ({row}, {searches})),
e AS (SELECT e.requested_at FROM {CONTROL_SCHEMA}.expansion e WHERE e.target IN ({searches}) AND (e.tenancy_id = {id} OR e.tenancy_id IS NULL))
SELECT (SELECT count(*) FROM i WHERE i.target = {row} AND (i.tenancy_id = {id} OR (i.project_id, i.branch_id) IN ({places})) AND {is_key}),
  (SELECT count(*) FROM i WHERE i.target <> {row} AND (i.tenancy_id = {id} OR i.tenancy_id IS NULL)) + (SELECT count(*) FROM e),
  {since}, {erased}",
        unseen = inbox::unseen(),
        is_key = is_key(mapping, "i", key),
        since = utc("(SELECT min(requested_at) FROM e)"),
        erased = is_being_erased(&id),
    )
}

/// The key's changes that are still there, in one row: how many (`bigint`), whether only the last [`LOOKED_THROUGH`] changes of
/// the tenancy's mapping were looked through (`bool`), the last numbers (`bigint[]`), when each was given out (`text[]`; a pass
/// that is long ago may have been forgotten for the next one), and whether the last one is still to be announced (`bool`).
pub fn changes(mapping: &Mapping, tenancy: TenancyId, key: &[String]) -> String {
    let passed = format!("SELECT {} FROM {} p", utc("p.passed_at"), first_beyond("k.sequence - 1"));
    format!(
        "WITH c AS MATERIALIZED (SELECT c.* FROM {CONTROL_SCHEMA}.change c WHERE c.tenancy_id = {id} AND c.mapping = {row} ORDER BY c.sequence DESC LIMIT {LOOKED_THROUGH}),
k AS (SELECT c.sequence FROM c WHERE {is_key} ORDER BY c.sequence DESC)
SELECT (SELECT count(*) FROM k), (SELECT count(*) = {LOOKED_THROUGH} FROM c), ARRAY(SELECT k.sequence FROM k LIMIT {TOLD}),
  ARRAY(SELECT ({passed}) FROM (SELECT k.sequence FROM k LIMIT {TOLD}) k),
  COALESCE((SELECT max(k.sequence) FROM k) > (SELECT max(a.sequence) FROM {CONTROL_SCHEMA}.announced a), FALSE)",
        id = of(tenancy),
        row = Target::row(mapping).id(),
        is_key = is_key(mapping, "c", key),
    )
}

/// Changes of a tenancy's mapping among which its latest changed rows are looked for.
const LATEST_OF: u32 = 50;

/// The latest changed rows of a tenancy, the last first: `sequence bigint`, `target integer` (see [`Target::row`]), and `key text[]`
/// in the order of the mapping's key. Each mapping's last changes come from the end of an index; a row that changed more often
/// than that has one place.
pub fn latest<'m>(mappings: impl Iterator<Item = &'m Mapping>, tenancy: TenancyId, limit: u32) -> String {
    let of = mappings.map(|mapping| {
        let key: Vec<_> = slots(mapping).iter().map(|slot| format!("c.{}::text", slot.name)).collect();
        format!(
            "(SELECT c.sequence, c.mapping AS target, ARRAY[{key}] AS key FROM {CONTROL_SCHEMA}.change c WHERE c.tenancy_id = {id} AND c.mapping = {row} ORDER BY c.sequence DESC LIMIT {LATEST_OF})",
            key = key.join(", "),
            id = of(tenancy),
            row = Target::row(mapping).id(),
        )
    });
    format!(
        "SELECT max(l.sequence), l.target, l.key FROM (\n{}\n) l GROUP BY l.target, l.key ORDER BY 1 DESC LIMIT {limit}",
        of.collect::<Vec<_>>().join("\nUNION ALL\n")
    )
}

/// What the quarantine has of the key: `destination`, `sequence`, `code`, `first_refused_at`, `last_refused_at`, `attempts`.
pub fn refused(mapping: &Mapping, tenancy: TenancyId, key: &[String]) -> String {
    format!(
        "SELECT q.destination, q.sequence, q.code, {first}, {last}, q.attempts FROM {CONTROL_SCHEMA}.quarantine q\nWHERE q.tenancy_id = {id} AND q.mapping_name = {name} AND {is_key} ORDER BY q.destination, q.sequence",
        first = utc("q.first_refused_at"),
        last = utc("q.last_refused_at"),
        id = of(tenancy),
        name = literal(mapping.name.as_str()),
        is_key = is_key(mapping, "q", key),
    )
}
