//! How all is: one sentence, what to look at, numbers, the way of a change, the last proof.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use lockstep_core::freshness::LAG_BUCKETS;
use lockstep_operations::{Queue, VerificationRun};
use serde::Serialize;

use crate::figures::{at_least, counted, cut, duration, rounded, sparkline, whole};
use crate::history::Series;
use crate::page::{Page, Region, View, taken};
use crate::sample::{Sample, Seen};
use crate::state::Console;
use crate::traffic::Rates;
use crate::verdict::{self, Level, Verdict};

pub(crate) async fn page(State(console): State<Arc<Console>>) -> Response {
    let sample = console.sample();
    Page::live(&console, View::Overview, regions(&sample))
}

#[derive(Template)]
#[template(path = "verdict.html")]
struct VerdictRegion {
    verdict: Verdict,
}

/// Read out by a screen reader where it changes: only the state, not every number.
#[derive(Template)]
#[template(source = "<p class=\"quiet\">State: {{ word }}</p>", ext = "html")]
struct Announcement {
    word: &'static str,
}

/// All regions of the overview.
pub(crate) fn regions(sample: &Sample) -> Vec<Region> {
    let verdict = verdict::of(sample);
    let word = verdict.level.word();
    vec![
        Region::of("verdict", &VerdictRegion { verdict }),
        Region::of("announcement", &Announcement { word }),
        Region::of("numbers", &NumbersRegion { rows: numbers(sample) }),
        Region::of("pipeline", &PipelineRegion { stages: stages(sample) }),
        last_proof(sample),
        taken(sample),
    ]
}

#[derive(Template)]
#[template(path = "numbers.html")]
struct NumbersRegion {
    rows: Vec<NumberRow>,
}

/// A number that is followed.
pub(crate) struct NumberRow {
    pub(crate) series: Series,
    pub(crate) what: &'static str,
    /// How it is got.
    how: &'static str,
    pub(crate) now: String,
    lowest: String,
    highest: String,
    lines: Vec<String>,
}

const NUMBERS: [(Series, &str, &str); 13] = [
    (
        Series::Numbered,
        "Changes numbered, each second",
        "how far the head of the sequence moved since the sample before; the leap of a rewind is left out",
    ),
    (
        Series::Shipped,
        "Changes in ClickHouse, each second",
        "how far the position of ClickHouse moved since the sample before; the leap of a rewind is left out",
    ),
    (
        Series::Rows,
        "Rows shipped, each second",
        "counts in the heartbeats of workers, over the last minute; the rows themselves, not the changes of them",
    ),
    (
        Series::LagHalf,
        "Lag of half of the changes (p50), seconds",
        "from commit to visible in ClickHouse, of what arrived in the last minute; on a line through its bucket",
    ),
    (
        Series::LagMost,
        "Lag of 99 % of the changes (p99), seconds",
        "from commit to visible in ClickHouse, of what arrived in the last minute; on a line through its bucket",
    ),
    (
        Series::OldestNews,
        "Oldest news that waits, seconds",
        "age of the first pass that went beyond the position of ClickHouse",
    ),
    (
        Series::Behind,
        "Tenants with news on the way",
        "tenancies among the first 10,000 changes above the position of ClickHouse",
    ),
    (Series::Inbox, "Lines without a number", "lines of the inbox that no pass has seen"),
    (Series::Unannounced, "Changes not announced", "changes above the announced position"),
    (Series::Ready, "Messages for workers", "asked of RabbitMQ"),
    (Series::Retrying, "Messages that wait to be tried again", "asked of RabbitMQ"),
    (Series::Dead, "Messages given up", "asked of RabbitMQ"),
    (Series::Quarantine, "Rows in quarantine", "counted in lockstep.quarantine"),
];

pub(crate) fn numbers(sample: &Sample) -> Vec<NumberRow> {
    let row = |(series, what, how): (Series, &'static str, &'static str)| {
        let text = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), rounded);
        let range = sample.history.range(series);
        NumberRow {
            series,
            what,
            how,
            now: now(sample, series).unwrap_or_else(|| format!("unknown{}", why(sample, series))),
            lowest: text(range.map(|range| range.0)),
            highest: text(range.map(|range| range.1)),
            lines: sparkline(&sample.history.shown(series)),
        }
    };
    NUMBERS.into_iter().map(row).collect()
}

/// Counts say where they are only "at least".
fn now(sample: &Sample, series: Series) -> Option<String> {
    let Seen { status, freshness, .. } = sample.seen.as_ref().ok()?;
    let counted = match series {
        Series::Inbox => status.inbox_lines,
        Series::Unannounced => status.unannounced,
        Series::Quarantine => status.quarantine,
        Series::Behind => return Some(cut(freshness.behind, freshness.behind_cut)),
        Series::Rows => return sample.recent.as_ref().ok().map(|recent| rates(recent.all_rates())),
        Series::LagHalf | Series::LagMost => return sample.history.last(series).map(lag),
        _ => return sample.history.last(series).map(rounded),
    };
    Some(at_least(counted, status.count_limit))
}

/// Why a number is not known, where more can be told than that it was not seen.
fn why(sample: &Sample, series: Series) -> String {
    match (series, &sample.recent) {
        (Series::Rows | Series::LagHalf | Series::LagMost, Err(why)) => format!(": {why}"),
        (Series::LagHalf | Series::LagMost, Ok(_)) => ": nothing arrived in the last minute".to_owned(),
        _ => String::new(),
    }
}

/// Lags are much shorter than what else is told in seconds.
fn lag(seconds: f64) -> String {
    let longest = LAG_BUCKETS[LAG_BUCKETS.len() - 1];
    if seconds >= longest { format!("≥ {longest}") } else { format!("{seconds:.3}") }
}

/// Rows each second, and what was done with them.
pub(super) fn rates(rates: Rates) -> String {
    let mix = rates.mix();
    if mix.is_empty() { "0".to_owned() } else { format!("{} ({mix})", rounded(rates.sum())) }
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelineRegion {
    stages: Vec<Stage>,
}

/// A station of the way of a change.
#[derive(Serialize, Debug)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// In a word or two.
    pub word: &'static str,
    /// In numbers.
    pub detail: String,
}

pub(crate) fn stages(sample: &Sample) -> Vec<Stage> {
    const NAMES: [&str; 6] = ["Postgres", "Sequencer", "RabbitMQ", "Workers", "ClickHouse", "Tenants' Postgres"];
    let Ok(seen) = &sample.seen else {
        let unknown = |name| Stage { name, level: Level::Unknown, word: "unknown", detail: String::new() };
        return NAMES.map(unknown).into();
    };
    let status = &seen.status;
    let stage = |at: usize, (level, word, detail)| Stage { name: NAMES[at], level, word, detail };
    vec![
        stage(0, (Level::Well, "answers", format!("head at {}", whole(status.last_sequence)))),
        stage(1, sequencer(seen)),
        stage(2, broker(&status.queue)),
        stage(3, workers(seen)),
        stage(4, clickhouse(seen)),
        stage(5, tenants(seen)),
    ]
}

type Told = (Level, &'static str, String);

fn is_paused(seen: &Seen, kind: &str) -> bool {
    seen.status.paused.iter().any(|part| part.kind == kind)
}

fn sequencer(seen: &Seen) -> Told {
    let lines = at_least(seen.status.inbox_lines, seen.status.count_limit);
    let detail = format!("{lines} lines without a number");
    match (is_paused(seen, "sequencer"), seen.freshness.leads) {
        (true, _) => (Level::Wrong, "paused", detail),
        (false, true) => (Level::Well, "one leads", detail),
        (false, false) => (Level::Wrong, "none leads", detail),
    }
}

fn broker(queue: &Queue) -> Told {
    match queue {
        Queue::Known { ready, retrying, dead } => {
            let level = if *dead > 0 { Level::Attention } else { Level::Well };
            (level, "answers", format!("{ready} ready, {retrying} retrying, {dead} given up"))
        }
        Queue::Missing { missing } => (Level::Attention, "has no queues yet", format!("there is no {missing}")),
        Queue::Unknown { error } => (Level::Wrong, "does not answer", error.clone()),
    }
}

/// Each worker has connections of this name while it works.
const FETCH: &str = "lockstep fetch";

fn workers(seen: &Seen) -> Told {
    let alive = seen.status.instances.iter().filter(|instance| instance.role == "worker" && instance.is_alive);
    let (ready, not_ready): (Vec<_>, Vec<_>) = alive.partition(|instance| instance.state["ready"] == true);
    let connections =
        seen.sessions.iter().find(|session| session.name == FETCH).map_or(0, |session| session.connections);
    let reading = counted(connections, "connection reads changes", "connections read changes");
    let detail = format!("{} ready, {} not; {reading}", ready.len(), not_ready.len());
    match (is_paused(seen, "workers"), ready.len(), not_ready.len()) {
        (true, ..) => (Level::Wrong, "paused", detail),
        (false, 0, 0) => (Level::Attention, "none runs", detail),
        (false, 0, _) => (Level::Attention, "none is ready", detail),
        (false, _, 0) => (Level::Well, "ready", detail),
        (false, ..) => (Level::Attention, "not all are ready", detail),
    }
}

fn clickhouse(seen: &Seen) -> Told {
    match &seen.freshness.clickhouse {
        Ok(version) => {
            let news = seen.freshness.oldest_news_s.map_or_else(|| "no news waits".to_owned(), duration);
            (Level::Well, "answers", format!("{version}; through {}; {news}", whole(seen.status.passed)))
        }
        Err(error) => (Level::Wrong, "does not answer", error.clone()),
    }
}

fn tenants(seen: &Seen) -> Told {
    let of = &seen.status.tenants;
    let level = if of.backing_off + of.stopped_mappings > 0 { Level::Attention } else { Level::Well };
    let word = if of.total == 0 { "none" } else { "of their own" };
    let detail = format!("{} of {} in step, {} not reached", whole(of.in_step), whole(of.total), whole(of.backing_off));
    (level, word, if of.total == 0 { String::new() } else { detail })
}

#[derive(Template)]
#[template(path = "last_proof.html")]
struct LastProof<'a> {
    run: Option<&'a VerificationRun>,
    seconds: f64,
    rows: String,
    is_known: bool,
}

fn last_proof(sample: &Sample) -> Region {
    let seen = sample.seen.as_ref().ok();
    let run = seen.and_then(|seen| seen.runs.first());
    let rows = run.map_or(0, |run| super::proof::total(run, "source_rows"));
    let seconds = run.map_or(0.0, |run| run.seconds);
    Region::of("proof", &LastProof { run, seconds, rows: counted(rows, "row", "rows"), is_known: seen.is_some() })
}
