//! Where the time from commit to visible goes: each measured change is followed through what the programs log.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::figures::{median, rounded};
use crate::lag::{Lag, ProbedUser};
use lockstep_testkit::installation::Program;

/// What the programs have to be started with to tell.
pub(super) const VARIABLES: [(&str, &str); 2] = [
    ("LOCKSTEP_LOG", "info,lapin=off,lockstep_sequencer=debug,lockstep_worker=debug"),
    ("LOCKSTEP_LOG_FORMAT", "json"),
];

/// What is logged at the end of each leg but the last, and the names of all legs.
const EVENTS: [&str; 6] = [
    "a pass was committed",
    "changes are announced",
    "messages are taken",
    "a snapshot is open",
    "a page is read",
    "a page is written",
];
const LEGS: [&str; 7] = [
    "leg_commit_to_numbered_p50_ms",
    "leg_numbered_to_announced_p50_ms",
    "leg_announced_to_delivered_p50_ms",
    "leg_delivered_to_opened_p50_ms",
    "leg_opened_to_read_p50_ms",
    "leg_read_to_inserted_p50_ms",
    "leg_inserted_to_seen_p50_ms",
];
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

/// A line of a log.
#[derive(Deserialize)]
struct Line {
    timestamp: String,
    message: Option<String>,
    /// How far a pass, an announcement or the messages of a flush go.
    head: Option<String>,
    up_to: Option<String>,
    mapping: Option<String>,
}

/// One of the [`EVENTS`].
#[derive(Clone, Copy, Debug)]
struct Event {
    which: usize,
    /// Milliseconds of the day.
    at_ms: f64,
    /// The last number that it covers.
    up_to: Option<i64>,
}

/// The median of each leg of these changes. `programs` are the sequencer and the worker.
pub(super) async fn measure(
    client: &Client,
    probed: ProbedUser,
    lags: &[Lag],
    programs: &[&Program],
) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let mut events = Vec::new();
    for program in programs {
        events.extend(program.logged()?.lines().filter_map(event));
    }
    let sql = "SELECT sequence FROM lockstep.change WHERE tenancy_id = $1 AND uuid_1 = $2 ORDER BY sequence";
    let rows = client.query(sql, &[&probed.tenancy, &probed.user]).await?;
    // The first is the user's own insert.
    let sequences = rows.iter().skip(1).map(|row| row.get::<_, i64>(0));
    let mut legs = [const { Vec::new() }; LEGS.len()];
    for (lag, sequence) in lags.iter().zip(sequences) {
        let Some(ends) = ends(&events, lag, sequence) else { continue };
        for (leg, ends) in legs.iter_mut().zip(ends.windows(2)) {
            leg.push(ends[1] - ends[0]);
        }
    }
    let followed = legs[0].len();
    anyhow::ensure!(followed * 2 > lags.len(), "only {followed} of {} changes could be followed", lags.len());
    Ok(LEGS.into_iter().zip(&legs).map(|(name, leg)| (name, json!(rounded(median(leg))))).collect())
}

/// When each leg of a change began, and the last ended, in milliseconds of the day; nothing where an event is missing.
fn ends(events: &[Event], lag: &Lag, sequence: i64) -> Option<Vec<f64>> {
    let committed_ms = lag.committed_at.as_secs_f64() * 1000.0 % DAY_MS;
    let mut ends = vec![committed_ms];
    for which in 0..EVENTS.len() {
        let earliest = if which == 0 { f64::MIN } else { *ends.last()? };
        let is_it = |event: &&Event| {
            event.which == which && event.at_ms >= earliest && event.up_to.is_none_or(|up_to| up_to >= sequence)
        };
        ends.push(events.iter().find(is_it)?.at_ms);
    }
    ends.push(committed_ms + lag.took.as_secs_f64() * 1000.0);
    Some(ends)
}

fn event(line: &str) -> Option<Event> {
    let Line { timestamp, message, head, up_to, mapping } = serde_json::from_str(line).ok()?;
    let message = message?;
    let which = EVENTS.iter().position(|event| *event == message)?;
    let is_of_users = mapping.is_none_or(|mapping| mapping == "users");
    let up_to = head.or(up_to).and_then(|number| number.parse().ok());
    is_of_users.then_some(Event { which, at_ms: of_day_ms(&timestamp).ok()?, up_to })
}

/// Milliseconds of the day of a timestamp such as `2026-01-31T23:59:59.000001Z`.
fn of_day_ms(timestamp: &str) -> anyhow::Result<f64> {
    let (_, time) = timestamp.trim_end_matches('Z').split_once('T').context("no time of day")?;
    time.split(':').try_fold(0.0, |sum, part| Ok(sum * 60.0 + part.parse::<f64>()?)).map(|seconds| seconds * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_change_is_followed_through_the_first_events_that_cover_it() {
        let line = |second: u32, message: &str, up_to: i64| {
            let fields = json!({"timestamp": format!("2026-01-31T00:00:{second:02}.500000Z"), "message": message,
                "up_to": up_to.to_string(), "mapping": "users"});
            event(&fields.to_string()).unwrap()
        };
        let mut events = vec![line(1, EVENTS[0], 6)];
        events.extend((0_u32..).zip(EVENTS).map(|(number, message)| line(number + 2, message, 7)));
        let lag = Lag { committed_at: Duration::from_secs(1), took: Duration::from_secs(8) };
        let ends = ends(&events, &lag, 7).unwrap();
        assert_eq!(
            ends.iter().map(|end| end.round()).collect::<Vec<_>>(),
            [1000.0, 2500.0, 3500.0, 4500.0, 5500.0, 6500.0, 7500.0, 9000.0]
        );
        assert!(super::ends(&events, &lag, 8).is_none(), "nothing covers it");
        assert!(event(r#"{"timestamp": "2026-01-31T00:00:01Z", "message": "another"}"#).is_none());
    }
}
