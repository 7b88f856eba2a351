//! Rows that a destination refused, each by the number of the change that named it, with its key.

use super::key::{KEY_COLUMNS, key_object};
use super::names::CONTROL_SCHEMA;
use crate::mapping::Mapping;

fn columns(alias: &str) -> String {
    KEY_COLUMNS.split(", ").map(|key| format!("{alias}.{key}")).collect::<Vec<_>>().join(", ")
}

/// Records rows: destination `$1 text`, mappings `$2 text[]` and their targets `$8 int[]`, tenancies `$3 uuid[]`, numbers `$4
/// bigint[]`, codes `$5 text[]`, errors `$6 text[]`; none of a mapping that has `$7 bigint`. Returns those that were recorded.
pub fn record() -> String {
    format!(
        "INSERT INTO {CONTROL_SCHEMA}.quarantine AS q (destination, mapping_name, tenancy_id, sequence, code, error, {KEY_COLUMNS})
SELECT $1, n.mapping_name, n.tenancy_id, n.sequence, n.code, n.error, {keys}
FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $8::int[]) AS n(mapping_name, tenancy_id, sequence, code, error, target)
LEFT JOIN LATERAL (SELECT * FROM {CONTROL_SCHEMA}.change c WHERE c.tenancy_id = n.tenancy_id AND c.mapping = n.target AND c.sequence = n.sequence LIMIT 1) c ON TRUE
WHERE n.mapping_name IN (
  SELECT m.name FROM (SELECT DISTINCT unnest($2::text[])) AS m(name)
  WHERE (SELECT count(*) FROM (SELECT FROM {CONTROL_SCHEMA}.quarantine o WHERE o.destination = $1 AND o.mapping_name = m.name LIMIT $7) x) < $7)
ON CONFLICT (destination, mapping_name, tenancy_id, sequence) DO UPDATE
  SET code = EXCLUDED.code, error = EXCLUDED.error, last_refused_at = now(), attempts = q.attempts + 1
RETURNING mapping_name, tenancy_id, sequence",
        keys = columns("c"),
    )
}

/// Forgets entries of the destination `$1 text` whose row a later change has named that the destination has passed: of the
/// mappings `$2 text[]` with their targets `$3 int[]`, tenancies `$4 uuid[]`, up to the numbers `$5 bigint[]`.
pub fn forget_superseded() -> String {
    format!(
        "DELETE FROM {CONTROL_SCHEMA}.quarantine q
USING unnest($2::text[], $3::int[], $4::uuid[], $5::bigint[]) AS w(mapping_name, target, tenancy_id, up_to)
WHERE q.destination = $1 AND q.mapping_name = w.mapping_name AND q.tenancy_id = w.tenancy_id AND EXISTS (
  SELECT 1 FROM {CONTROL_SCHEMA}.change c WHERE c.tenancy_id = w.tenancy_id AND c.mapping = w.target AND c.sequence > q.sequence AND c.sequence <= w.up_to
    AND ({of_change}) IS NOT DISTINCT FROM ({of_entry}))",
        of_change = columns("c"),
        of_entry = columns("q"),
    )
}

/// Writes the rows of entries into an inbox, so that they are numbered and shipped anew: of the destination `$1 text`, the
/// mapping `$2 text` with its target `$3 int`, of the tenancy `$4 uuid` and with the code `$5 text`, of all where they are null.
pub fn retry(inbox: usize) -> String {
    format!(
        "INSERT INTO {CONTROL_SCHEMA}.{inbox} (target, tenancy_id, {KEY_COLUMNS})
SELECT DISTINCT $3::int, q.tenancy_id, {keys} FROM {CONTROL_SCHEMA}.quarantine q
WHERE q.destination = $1 AND q.mapping_name = $2 AND ($4::uuid IS NULL OR q.tenancy_id = $4)
  AND ($5::text IS NULL OR q.code = $5)",
        inbox = super::inbox::INBOXES[inbox],
        keys = columns("q"),
    )
}

/// Entries of a mapping in the destination `$1 text`, of the tenancy `$2 uuid` and with the code `$4 text`, of all where they are
/// null, behind the tenancy `$5 uuid` and number `$6 bigint`, in this order, at most `$3 bigint`: `tenancy_id`, `sequence`, `key jsonb` (destination columns), `code`, `error`, `first_refused_at`,
/// `last_refused_at` (both as text, UTC), `attempts`.
pub fn entries(mapping: &Mapping) -> String {
    let utc = |column: &str| format!("to_char(q.{column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')");
    format!(
        "SELECT q.tenancy_id, q.sequence, {key}, q.code, q.error, {first}, {last}, q.attempts FROM {CONTROL_SCHEMA}.quarantine q
WHERE q.destination = $1 AND q.mapping_name = {name} AND ($2::uuid IS NULL OR q.tenancy_id = $2)
  AND ($4::text IS NULL OR q.code = $4) AND (q.tenancy_id, q.sequence) > ($5::uuid, $6::bigint) ORDER BY q.tenancy_id, q.sequence LIMIT $3",
        key = key_object(mapping, "q"),
        name = super::names::literal(mapping.name.as_str()),
        first = utc("first_refused_at"),
        last = utc("last_refused_at"),
    )
}
