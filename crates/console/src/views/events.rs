//! What operators are told: the latest events, and how far each sink is with them. A region of the view of operations.

use askama::Template;
use lockstep_operations::{EVENTS_COUNTED, EventEntry, LatestEvents, SinkDeliveries, SinkState, shell};

use crate::figures::{at_least, duration, whole};
use crate::page::Region;
use crate::sample::{Sample, Seen};
use crate::verdict::Level;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsRegion<'a> {
    unknown: Option<&'a String>,
    events: Vec<EventRow<'a>>,
    has_more: bool,
    sinks: Vec<SinkRow<'a>>,
}

struct EventRow<'a> {
    event: &'a EventEntry,
    level: Level,
    state: String,
    /// The command that shows more.
    look: Option<&'a str>,
}

struct SinkRow<'a> {
    sink: &'a str,
    level: Level,
    state: String,
    /// The latest event that it has, and since when.
    last: Option<(i64, &'a String)>,
    waiting: String,
    given_up: String,
    command: Option<String>,
}

pub(super) fn region(sample: &Sample) -> Region {
    let seen = sample.seen.as_ref();
    let region = EventsRegion {
        unknown: seen.err(),
        events: seen.map(|seen| events(&seen.events)).unwrap_or_default(),
        has_more: seen.is_ok_and(|seen| seen.events.has_more),
        sinks: seen.map(sinks).unwrap_or_default(),
    };
    Region::of("events", &region)
}

/// What holds first, also where it began long ago; then what else there was, the latest first.
fn events(latest: &LatestEvents) -> Vec<EventRow<'_>> {
    let over = latest.events.iter().filter(|event| !event.is_open);
    latest.open.iter().chain(over).map(event).collect()
}

fn event(event: &EventEntry) -> EventRow<'_> {
    let (level, state) = match event.state.as_str() {
        _ if event.is_open => (Level::Attention, "holds since then".to_owned()),
        "raised" => (Level::Well, "began, and is over".to_owned()),
        "resolved" => (Level::Well, ended(event)),
        _ => (Level::Well, "happened".to_owned()),
    };
    EventRow { level, state, look: event.about["look"].as_str(), event }
}

fn ended(event: &EventEntry) -> String {
    match event.about["raised_by"].as_i64() {
        Some(raised_by) => format!("ended, what began with {raised_by}"),
        None => "ended".to_owned(),
    }
}

fn sinks(seen: &Seen) -> Vec<SinkRow<'_>> {
    let last = |of: &SinkState| seen.deliveries.iter().find(|deliveries| deliveries.sink == of.sink);
    seen.status.event_sinks.iter().map(|of| sink(of, last(of))).collect()
}

fn sink<'a>(of: &'a SinkState, last: Option<&'a SinkDeliveries>) -> SinkRow<'a> {
    let name = shell::word(&of.sink);
    let again = || Some(format!("lockstep events retry --sink {name}"));
    let next = || match last.and_then(|last| Some((last.error.as_ref()?, last.next_at.as_ref()))) {
        Some((error, Some(at))) => format!("its last attempt failed ({error}); the next is at {at}"),
        Some((error, None)) => format!("its last attempt failed ({error})"),
        None => "not all is there".to_owned(),
    };
    let (level, state, command) = match of {
        SinkState { stopped_at: Some(since), .. } => (
            Level::Wrong,
            format!("stopped since {since}: its receiver said that it is gone (410)"),
            Some(format!("lockstep events resume {name}")),
        ),
        SinkState { given_up: 1.., .. } => (Level::Wrong, next(), again()),
        SinkState { waiting: 1.., .. } if last.is_some_and(|last| last.error.is_some()) => {
            (Level::Attention, next(), again())
        }
        SinkState { waiting: 1.., .. } => (Level::Well, "on their way".to_owned(), None),
        SinkState { .. } => (Level::Well, "has everything".to_owned(), None),
    };
    let waiting = match of.oldest_waiting_s {
        Some(oldest_s) => format!("{}, for {}", at_least(of.waiting, EVENTS_COUNTED), duration(oldest_s)),
        None => whole(of.waiting),
    };
    let last = last.and_then(|last| Some((last.last_event?, last.last_delivered_at.as_ref()?)));
    SinkRow { sink: &of.sink, level, state, last, waiting, given_up: at_least(of.given_up, EVENTS_COUNTED), command }
}
