//! Events that operators are told: which there were, who has them, and having them told again.

use std::time::Duration;

use lockstep_schema::events::{self, SinkState};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::progress::{Progress, Waiting};

/// Which events.
#[derive(Clone, Default, Debug)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// Those that a sink does not have.
    pub undelivered: bool,
    /// Those with lower numbers, for the next page.
    pub before: Option<i64>,
    /// So many at most.
    pub limit: i64,
}

/// An event.
#[derive(Serialize, Debug)]
pub struct EventEntry {
    /// Its number.
    pub id: i64,
    /// When it was written, in UTC.
    pub at: String,
    /// What it is about: `paused`, for instance.
    pub kind: String,
    /// Which of that kind.
    pub subject: String,
    /// `raised`, `resolved`, or `told` of what happens once.
    pub state: String,
    /// It was raised, and is not resolved.
    pub is_open: bool,
    /// Ids, names, counts, codes and times.
    pub about: Value,
    /// Sinks that do not have it.
    pub undelivered: Vec<String>,
}

/// Events, the latest first.
#[derive(Serialize, Debug)]
pub struct EventsReport {
    /// A page of them.
    pub events: Vec<EventEntry>,
    /// For the next page; none on the last.
    pub next: Option<i64>,
}

/// The latest events.
#[derive(Default, Debug)]
pub struct LatestEvents {
    /// Those that hold.
    pub open: Vec<EventEntry>,
    /// Whatever became of them.
    pub events: Vec<EventEntry>,
    /// There are others before these.
    pub has_more: bool,
}

/// What a sink was told last, beside how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkDeliveries {
    /// The sink.
    pub sink: String,
    /// The latest event that it has.
    pub last_event: Option<i64>,
    /// Since when, in UTC.
    pub last_delivered_at: Option<String>,
    /// What went wrong last of what it does not have, as one word.
    pub error: Option<String>,
    /// When that is tried next, in UTC.
    pub next_at: Option<String>,
}

/// Whether a sink has an event.
#[derive(Serialize, Debug)]
pub struct EventDelivery {
    /// The sink.
    pub sink: String,
    /// `delivered`, `waiting`, `given_up`, or `stopped`: it waits, and the sink is told nothing.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was delivered, in UTC.
    pub delivered_at: Option<String>,
    /// When it is tried next, in UTC; none where nobody tries it.
    pub next_at: Option<String>,
    /// What went wrong last, as one word.
    pub error: Option<String>,
}

/// An event, and who has it.
#[derive(Serialize, Debug)]
pub struct EventReport {
    /// The event.
    #[serde(flatten)]
    pub event: EventEntry,
    /// Every sink that is to be told.
    pub deliveries: Vec<EventDelivery>,
}

/// An event that was written to see whether sinks take it.
#[derive(Serialize, Debug)]
pub struct EventTestReport {
    /// Its number.
    pub event: i64,
    /// How far each sink is with it.
    pub deliveries: Vec<EventDelivery>,
}

/// What is told again.
#[derive(Serialize, Debug)]
pub struct EventRetryReport {
    /// Events that sinks are told again, each of each sink.
    pub deliveries: u64,
    /// Sinks that are told nothing before they are resumed.
    pub stopped: Vec<String>,
}

/// `$6`: those that hold alone.
const LIST: &str = r#"SELECT e.id, to_char(e.at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), e.kind, e.subject, e.state, e.open, e.body,
  ARRAY(SELECT d.sink FROM lockstep.event_delivery d WHERE d.event_id = e.id AND d.delivered_at IS NULL ORDER BY d.sink)
FROM lockstep.event e WHERE ($1::bigint IS NULL OR e.id = $1) AND ($2::text IS NULL OR e.kind = $2)
  AND ($3::bigint IS NULL OR e.id < $3) AND (NOT $4::boolean OR EXISTS (SELECT FROM lockstep.event_delivery d
    WHERE d.event_id = e.id AND d.delivered_at IS NULL)) AND (NOT $6::boolean OR e.open)
ORDER BY e.id DESC LIMIT $5"#;

/// When delivery `d` to sink `s` is tried next. A sink that is stopped is told nothing before somebody resumes it, and one that rests
/// nothing before it has rested.
const NEXT_AT: &str = r#"CASE WHEN s.stopped_at IS NULL AND d.next_at IS NOT NULL
    THEN to_char(greatest(d.next_at, s.rests_until), 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END"#;

/// Of each sink: the newest event that it has, and since when; of what it does not have, what went wrong last, and when it is tried next.
fn last_of_each() -> String {
    // The last of a sink, or of one before it: read from the end of one index, however much of the others there is.
    let up_to = "(sink, event_id) <= (s.sink, 9223372036854775807) ORDER BY sink DESC, event_id DESC";
    format!(
        r#"SELECT s.sink, l.event_id, to_char(l.delivered_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), d.last_error, {NEXT_AT}
FROM lockstep.event_sink s LEFT JOIN LATERAL (SELECT sink, event_id, delivered_at FROM lockstep.event_delivery
    WHERE delivered_at IS NOT NULL AND {up_to} LIMIT 1) l ON l.sink = s.sink
  LEFT JOIN LATERAL (SELECT sink, last_error, next_at FROM lockstep.event_delivery
    WHERE delivered_at IS NULL AND attempts > 0 AND {up_to} LIMIT 1) d ON d.sink = s.sink
ORDER BY s.sink"#
    )
}

fn deliveries_of_one() -> String {
    format!(
        r#"SELECT d.sink, CASE WHEN d.delivered_at IS NOT NULL THEN 'delivered'
    WHEN d.next_at IS NULL THEN 'given_up' WHEN s.stopped_at IS NOT NULL THEN 'stopped' ELSE 'waiting' END, d.attempts,
  to_char(d.delivered_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), {NEXT_AT}, d.last_error
FROM lockstep.event_delivery d JOIN lockstep.event_sink s USING (sink) WHERE d.event_id = $1 ORDER BY d.sink"#
    )
}

/// Attempts begin anew. `$1`: of one event; `$2`: of one sink.
const RETRY: &str = "UPDATE lockstep.event_delivery SET attempts = 0, next_at = clock_timestamp()
WHERE delivered_at IS NULL AND ($1::bigint IS NULL OR event_id = $1) AND ($2::text IS NULL OR sink = $2)";

/// Whoever asks knows better than what the receiver said before.
const WAKE: &str = "UPDATE lockstep.event_sink SET rests_until = NULL WHERE $1::text IS NULL OR sink = $1";

const RESUME: &str = "UPDATE lockstep.event_sink SET stopped_at = NULL WHERE sink = $1";

fn entry(row: &Row) -> EventEntry {
    EventEntry {
        id: row.get(0),
        at: row.get(1),
        kind: row.get(2),
        subject: row.get(3),
        state: row.get(4),
        is_open: row.get(5),
        about: row.get(6),
        undelivered: row.get(7),
    }
}

/// Events, the latest first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn list_events(deployment: &Deployment<'_>, filter: &EventFilter) -> Result<EventsReport, OperationError> {
    let EventFilter { kind, undelivered, before, limit } = filter;
    // One more than is shown tells whether there is another page.
    let rows = deployment.client.query(LIST, &[&None::<i64>, kind, before, undelivered, &(limit + 1), &false]).await?;
    let mut events: Vec<_> = rows.iter().map(entry).collect();
    let is_last = i64::try_from(events.len()).is_ok_and(|found| found <= *limit);
    events.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
    let next = events.last().filter(|_| !is_last).map(|event| event.id);
    Ok(EventsReport { events, next })
}

/// The latest events that were raised and are not resolved, and the latest of all: so many of each at most, the latest first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn latest_events(deployment: &Deployment<'_>, limit: i64) -> Result<LatestEvents, OperationError> {
    let all = list_events(deployment, &EventFilter { limit, ..EventFilter::default() }).await?;
    let (any_kind, any_id) = (None::<String>, None::<i64>);
    let rows = deployment.client.query(LIST, &[&any_id, &any_kind, &any_id, &false, &limit, &true]).await?;
    Ok(LatestEvents { open: rows.iter().map(entry).collect(), events: all.events, has_more: all.next.is_some() })
}

/// What each sink was told last.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn sink_deliveries(deployment: &Deployment<'_>) -> Result<Vec<SinkDeliveries>, OperationError> {
    let rows = deployment.client.query(&last_of_each(), &[]).await?;
    let deliveries = |row: &Row| SinkDeliveries {
        sink: row.get(0),
        last_event: row.get(1),
        last_delivered_at: row.get(2),
        error: row.get(3),
        next_at: row.get(4),
    };
    Ok(rows.iter().map(deliveries).collect())
}

/// An event, and who has it.
///
/// # Errors
/// When there is no such event, or Postgres cannot be asked.
pub async fn show_event(deployment: &Deployment<'_>, id: i64) -> Result<EventReport, OperationError> {
    let row =
        deployment.client.query_opt(LIST, &[&Some(id), &None::<String>, &None::<i64>, &false, &1_i64, &false]).await?;
    let event = entry(&row.ok_or(OperationError::UnknownEvent(id))?);
    Ok(EventReport { event, deliveries: deliveries(deployment, id).await? })
}

async fn deliveries(deployment: &Deployment<'_>, id: i64) -> Result<Vec<EventDelivery>, OperationError> {
    let delivery = |row: &Row| EventDelivery {
        sink: row.get(0),
        state: row.get(1),
        attempts: row.get(2),
        delivered_at: row.get(3),
        next_at: row.get(4),
        error: row.get(5),
    };
    Ok(deployment.client.query(&deliveries_of_one(), &[&id]).await?.iter().map(delivery).collect())
}

/// How far every sink is.
pub(crate) async fn event_sinks(deployment: &Deployment<'_>) -> Result<Vec<SinkState>, OperationError> {
    events::sinks(&deployment.client).await.map_err(OperationError::unless_migrated)
}

async fn must_be_sink(deployment: &Deployment<'_>, sink: &str) -> Result<(), OperationError> {
    let known: Vec<_> = event_sinks(deployment).await?.into_iter().map(|state| state.sink).collect();
    if known.iter().any(|known| known == sink) {
        return Ok(());
    }
    Err(OperationError::UnknownSink { name: sink.to_owned(), known: known.join(", ") })
}

/// Has the sequencer that leads tell every sink of an event of the kind `test`, and waits until each was tried once.
///
/// # Errors
/// When no sink is set, or Postgres cannot be asked.
pub async fn test_events(
    deployment: &Deployment<'_>,
    limit: Duration,
    progress: Progress<'_>,
) -> Result<EventTestReport, OperationError> {
    if event_sinks(deployment).await?.is_empty() {
        return Err(OperationError::NoSink);
    }
    let topic = ("test", Uuid::new_v4().to_string());
    let about = json!({ "look": "lockstep events list" });
    let written = events::begin(&deployment.client, (topic.0, &topic.1), false, &about).await?;
    // Nobody else writes of a subject that was just drawn.
    let event = written.ok_or(OperationError::NoSink)?;
    let mut waiting = Waiting::new(limit, progress);
    loop {
        let deliveries = deliveries(deployment, event).await?;
        let is_tried = |delivery: &EventDelivery| delivery.attempts > 0 || delivery.state == "stopped";
        let untried: Vec<_> = deliveries.iter().filter(|delivery| !is_tried(delivery)).map(|one| &*one.sink).collect();
        let what = format!("the sequencer that leads has not told {} yet", untried.join(", "));
        if untried.is_empty() || waiting.pause(|| what).await.is_err() {
            return Ok(EventTestReport { event, deliveries });
        }
    }
}

/// Has what sinks do not have told again at once, as if it had not been tried: of one event, or one sink, or all.
///
/// # Errors
/// When there is no such event or sink, or Postgres cannot be asked.
pub async fn retry_events(
    deployment: &Deployment<'_>,
    event: Option<i64>,
    sink: Option<&str>,
) -> Result<EventRetryReport, OperationError> {
    if let Some(id) = event {
        show_event(deployment, id).await?;
    }
    if let Some(sink) = sink {
        must_be_sink(deployment, sink).await?;
    }
    deployment.client.execute(WAKE, &[&sink]).await?;
    let deliveries = deployment.client.execute(RETRY, &[&event, &sink]).await?;
    let of_it = |state: &SinkState| state.stopped_at.is_some() && sink.is_none_or(|sink| sink == state.sink);
    let stopped = event_sinks(deployment).await?.into_iter().filter(of_it).map(|state| state.sink).collect();
    Ok(EventRetryReport { deliveries, stopped })
}

/// Has a sink told again whose receiver had said that it is gone, beginning with what it does not have.
///
/// # Errors
/// When there is no such sink, or Postgres cannot be asked.
pub async fn resume_events(deployment: &Deployment<'_>, sink: &str) -> Result<EventRetryReport, OperationError> {
    must_be_sink(deployment, sink).await?;
    deployment.client.execute(RESUME, &[&sink]).await?;
    retry_events(deployment, None, Some(sink)).await
}
