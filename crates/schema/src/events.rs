//! Events that operators are told (`lockstep.event`): writing one with what sinks are to be told, and how far each sink is.

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{Client, Row};

use crate::error::SourceError;

/// Every kind of event that there is.
pub const KINDS: [&str; 12] = [
    "destination_down",
    "erasure_done",
    "mapping_stopped",
    "messages_put_off",
    "needs_refill",
    "no_worker",
    "paused",
    "program_held_up",
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
  SELECT $1, $2, 'resolved', FALSE, (body - 'look' - 'means') || jsonb_build_object('raised_by', id, 'raised_at', at) FROM over RETURNING id), ";

/// What a sink does not have is counted up to this; beyond it a number is "at least".
pub const COUNTED: i64 = 1_000;

/// What is given up is neither delivered nor tried again. A sink that was set later has waited since then. What begins at a sink is
/// read in the order of one index, and not of that of all events: so what it has, and what others lack, is not looked at.
const SINKS: &str = "SELECT s.sink, to_char(s.stopped_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), w.count, g.count,
  extract(epoch FROM clock_timestamp() - greatest(s.begun_at, e.at))::float8
FROM lockstep.event_sink s CROSS JOIN LATERAL (SELECT count(*), min(d.event_id) AS first FROM (
    SELECT sink, event_id FROM lockstep.event_delivery
    WHERE next_at IS NOT NULL AND (sink, event_id) >= (s.sink, 0) ORDER BY sink, event_id LIMIT $1) d WHERE d.sink = s.sink) w
  CROSS JOIN LATERAL (SELECT count(*) FROM (
    SELECT sink FROM lockstep.event_delivery
    WHERE delivered_at IS NULL AND next_at IS NULL AND (sink, event_id) >= (s.sink, 0) ORDER BY sink, event_id LIMIT $1) d WHERE d.sink = s.sink) g
  LEFT JOIN lockstep.event e ON e.id = w.first ORDER BY s.sink";

/// How far a sink is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SinkState {
    /// Its name.
    pub sink: String,
    /// Since when it is told nothing, since its receiver said that it is gone; in UTC.
    pub stopped_at: Option<String>,
    /// Events that it does not have yet, up to [`COUNTED`].
    pub waiting: i64,
    /// Events that it was not told in all attempts, up to [`COUNTED`].
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
    client.query(SINKS, &[&COUNTED]).await?.iter().map(state).collect()
}
