//! Runs of the verifier, as they were written down, and what they found, a page at a time.
//!
//! SQL as text, as in [`verifications`](crate::verifications), whose tables these are.

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// A run of the verifier.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct VerificationRun {
    /// Its number.
    pub id: i64,
    /// How closely it looked: `versions`, `content` or `rows`.
    pub level: String,
    /// When it began, in UTC.
    pub started_at: String,
    /// When it ended, in UTC.
    pub finished_at: String,
    /// How long it took.
    pub seconds: f64,
    /// What was asked for; each null where it was all.
    pub scope: serde_json::Value,
    /// `equal`, `different`, `in_flight` or `unfinished`.
    pub verdict: String,
    /// By destination and mapping.
    pub counts: serde_json::Value,
}

/// A row that differed, and whose it is.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct FindingOf {
    /// Its number.
    pub id: i64,
    /// Where.
    pub destination: String,
    /// The mapping.
    pub mapping: String,
    /// Whose it is, where that is known.
    pub tenancy: Option<uuid::Uuid>,
    /// Its key, by column: ids, numbers and days as they are, of a text its hash.
    pub key: serde_json::Value,
    /// How it came to.
    pub class: String,
    /// Which columns differ.
    pub columns: Vec<String>,
    /// When it was found last, in UTC.
    pub last_seen_at: String,
}

const RUNS: &str = r#"SELECT id, level, to_char(started_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), to_char(finished_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  extract(epoch FROM finished_at - started_at)::float8, scope, verdict, counts
FROM lockstep.verification WHERE id < $1 ORDER BY id DESC LIMIT $2"#;

const FINDINGS: &str = r#"SELECT id, destination, mapping_name, tenancy_id, key, class, columns, to_char(last_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM lockstep.finding WHERE resolved_at IS NULL AND id < $1 ORDER BY id DESC LIMIT $2"#;

/// At most `limit` runs with a number below `before`, the last first.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn before(client: &Client, before: Option<i64>, limit: i64) -> Result<Vec<VerificationRun>, SourceError> {
    let rows = client.query(RUNS, &[&before.unwrap_or(i64::MAX), &limit]).await?;
    let run = |row: &Row| VerificationRun {
        id: row.get(0),
        level: row.get(1),
        started_at: row.get(2),
        finished_at: row.get(3),
        seconds: row.get(4),
        scope: row.get(5),
        verdict: row.get(6),
        counts: row.get(7),
    };
    Ok(rows.iter().map(run).collect())
}

/// At most `limit` rows that differed when they were looked at last, with a number below `before`, the last first.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn open_findings(client: &Client, before: Option<i64>, limit: i64) -> Result<Vec<FindingOf>, SourceError> {
    let rows = client.query(FINDINGS, &[&before.unwrap_or(i64::MAX), &limit]).await?;
    let finding = |row: &Row| FindingOf {
        id: row.get(0),
        destination: row.get(1),
        mapping: row.get(2),
        tenancy: row.get(3),
        key: row.get(4),
        class: row.get(5),
        columns: row.get(6),
        last_seen_at: row.get(7),
    };
    Ok(rows.iter().map(finding).collect())
}
