//! Events that operators are told (`lockstep.event`): writing one with what sinks are to be told, and how far each sink is.

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// Every kind of event that there is.
pub const KINDS: [&str; 9] = [
    "destination_down",
    "erasure_done",
    "mapping_stopped",
    "needs_refill",
    "paused",
    "quarantine",
    "task_failing",
    "test",
    "verification_differs",
];

/// An event `e` as it is told.
pub const TOLD: &str = "jsonb_build_object('id', e.id, 'at', e.at, 'kind', e.kind, 'subject', e.subject, 'state', e.state, 'about', e.body)";

/// The end of a statement that writes an event as `written`: every sink is to be told.
const AND_TELL: &str =
    "told AS (INSERT INTO lockstep.event_delivery (event_id, sink) SELECT id, sink FROM written, lockstep.event_sink)
SELECT id FROM written";

/// Somebody else may have written it meanwhile.
const BEGIN: &str = "WITH written AS (INSERT INTO lockstep.event (kind, subject, state, open, body)
  VALUES ($1, $2, CASE WHEN $3 THEN 'raised' ELSE 'told' END, $3, $4) ON CONFLICT DO NOTHING RETURNING id), ";

/// One statement, so that it is over once; it tells which event has raised it, and when.
const END: &str = "WITH over AS (UPDATE lockstep.event SET open = FALSE WHERE kind = $1 AND subject = $2 AND open RETURNING id, at, body),
written AS (INSERT INTO lockstep.event (kind, subject, state, open, body)
  SELECT $1, $2, 'resolved', FALSE, (body - 'look') || jsonb_build_object('raised_by', id, 'raised_at', at) FROM over RETURNING id), ";

/// What is given up is neither delivered nor tried again. A sink that was set later has waited since then.
const SINKS: &str = "SELECT s.sink, to_char(s.stopped_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
  count(*) FILTER (WHERE d.next_at IS NOT NULL), count(*) FILTER (WHERE d.event_id IS NOT NULL AND d.next_at IS NULL),
  extract(epoch FROM clock_timestamp() - greatest(s.begun_at, min(e.at) FILTER (WHERE d.next_at IS NOT NULL)))::float8
FROM lockstep.event_sink s LEFT JOIN lockstep.event_delivery d ON d.sink = s.sink AND d.delivered_at IS NULL
  LEFT JOIN lockstep.event e ON e.id = d.event_id GROUP BY s.sink ORDER BY s.sink";

/// How far a sink is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SinkState {
    /// Its name.
    pub sink: String,
    /// Since when it is told nothing, since its receiver said that it is gone; in UTC.
    pub stopped_at: Option<String>,
    /// Events that it does not have yet.
    pub waiting: i64,
    /// Events that it was not told in all attempts.
    pub given_up: i64,
    /// For how long the first of those that wait has waited.
    pub oldest_waiting_s: Option<f64>,
}

/// Writes that something begins and lasts, or happens once. Returns the event's number, unless it is written already.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn begin(
    client: &Client,
    (kind, subject): (&str, &str),
    lasts: bool,
    body: &Value,
) -> Result<Option<i64>, SourceError> {
    let written = client.query_opt(&format!("{BEGIN}{AND_TELL}"), &[&kind, &subject, &lasts, body]).await?;
    Ok(written.map(|row| row.try_get(0)).transpose()?)
}

/// Writes that what has begun is over. Returns whether it was not already.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn end(client: &Client, (kind, subject): (&str, &str)) -> Result<bool, SourceError> {
    Ok(client.query_opt(&format!("{END}{AND_TELL}"), &[&kind, &subject]).await?.is_some())
}

/// Every sink that the sequencer which leads is set to.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn sinks(client: &Client) -> Result<Vec<SinkState>, SourceError> {
    let state = |row: &Row| {
        let waiting = row.try_get(2)?;
        // Without one that waits the greatest of the two moments is when the sink was set.
        let oldest_waiting_s = if waiting > 0 { row.try_get(4)? } else { None };
        let (sink, stopped_at) = (row.try_get(0)?, row.try_get(1)?);
        Ok(SinkState { sink, stopped_at, waiting, given_up: row.try_get(3)?, oldest_waiting_s })
    };
    client.query(SINKS, &[]).await?.iter().map(state).collect()
}
