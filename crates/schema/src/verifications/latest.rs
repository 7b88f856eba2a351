//! What the verifier last found of each mapping in ClickHouse.

use lockstep_core::destination_id::CLICKHOUSE;
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// Runs that are looked at: with one an hour, those of four days.
const RUNS: i64 = 100;

/// Of runs over all tenants, the last of each mapping, and when one last ended that could judge it: `$1` destination, `$2` runs. One that
/// compared versions alone does not find rows equal, nor mends what another found: only where there is no other, or it has found
/// something, it is the last.
const LATEST: &str = r#"
SELECT DISTINCT ON (r.mapping) r.mapping, r.verdict, r.counts,
  extract(epoch FROM max(r.finished_at) FILTER (WHERE r.verdict IN ('equal', 'different')) OVER (PARTITION BY r.mapping))::float8,
  to_char(max(r.finished_at) FILTER (WHERE r.verdict = 'equal' AND NOT r.is_of_versions) OVER (PARTITION BY r.mapping), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM (SELECT v.id, v.finished_at, v.level = 'versions' AS is_of_versions, c ->> 'mapping' AS mapping, c AS counts, CASE
    WHEN (c ->> 'missing')::bigint + (c ->> 'unexpected')::bigint + (c ->> 'different')::bigint > 0 THEN 'different'
    WHEN v.verdict = 'unfinished' OR (c ->> 'unjudged')::bigint + (c ->> 'unreadable')::bigint > 0 THEN 'unfinished'
    WHEN (c ->> 'in_flight')::bigint > 0 THEN 'in_flight'
    ELSE 'equal' END AS verdict
  FROM (SELECT * FROM lockstep.verification ORDER BY id DESC LIMIT $2) v, jsonb_array_elements(v.counts) c
  WHERE c ->> 'destination' = $1 AND v.scope ->> 'tenants' IS NULL) r
ORDER BY r.mapping, r.is_of_versions AND r.verdict <> 'different', r.id DESC"#;

/// Results that are counted.
pub const RESULTS: [&str; 6] = ["missing", "unexpected", "different", "in_flight", "unjudged", "unreadable"];

/// What a run found of a mapping.
#[derive(Clone, PartialEq, Debug)]
pub struct Latest {
    /// Which.
    pub mapping: String,
    /// `equal`, `different`, `in_flight` or `unfinished`.
    pub verdict: String,
    /// When a run last ended that found it equal or different, in seconds since 1970.
    pub judged_at_s: Option<f64>,
    /// When a run last ended that found it equal by what its rows hold, in UTC.
    pub equal_at: Option<String>,
    /// Rows, in the order of [`RESULTS`].
    pub rows: [i64; RESULTS.len()],
}

/// The last run of each mapping.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn latest(client: &Client) -> Result<Vec<Latest>, SourceError> {
    let rows = client.query(LATEST, &[&CLICKHOUSE, &RUNS]).await?;
    let latest = |row: &Row| {
        let counts: serde_json::Value = row.try_get(2)?;
        let rows = RESULTS.map(|result| counts[result].as_i64().unwrap_or_default());
        Ok(Latest {
            mapping: row.try_get(0)?,
            verdict: row.try_get(1)?,
            judged_at_s: row.try_get(3)?,
            equal_at: row.try_get(4)?,
            rows,
        })
    };
    rows.iter().map(latest).collect()
}
