//! The sequencer's metrics, by name.

use std::time::Duration;

use lockstep_core::{freshness, telemetry};
use lockstep_schema::events::SinkState;
use lockstep_schema::verifications::latest::{Latest, RESULTS};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CHANGES: &str = "lockstep_sequencer_changes_total";
const PASSES: &str = "lockstep_sequencer_passes_total";
const PASS_SECONDS: &str = "lockstep_sequencer_pass_seconds";
pub(crate) const UNANNOUNCED: &str = "lockstep_sequencer_unannounced_changes";
pub(crate) const FLAWED_TRIGGERS: &str = "lockstep_sequencer_flawed_triggers";
pub(crate) const MISFITS: &str = "lockstep_sequencer_paused_mappings";
const PUBLISH_SECONDS: &str = "lockstep_sequencer_publish_seconds";
pub(crate) const LEADER: &str = "lockstep_sequencer_leader";
pub(crate) const WENT_BACK: &str = "lockstep_sequencer_source_went_back";
pub(crate) const PAUSED: &str = "lockstep_sequencer_paused";
const PAUSED_PARTS: &str = "lockstep_paused_parts";
const ERASURES: &str = "lockstep_erasures_open";
const OLDEST_ERASURE: &str = "lockstep_erasure_oldest_seconds";
const VERIFIED_AT: &str = "lockstep_verification_last_timestamp_seconds";
const VERDICT: &str = "lockstep_verification_verdict";
const VERIFIED_ROWS: &str = "lockstep_verification_rows";
const EVENTS: &str = "lockstep_events_total";
const EVENTS_WAITING: &str = "lockstep_events_waiting";
const EVENTS_DROPPED: &str = "lockstep_events_dropped_total";
const EVENTS_OLDEST: &str = "lockstep_events_oldest_waiting_seconds";
const EVENTS_GIVEN_UP: &str = "lockstep_events_given_up";
const EVENTS_STOPPED: &str = "lockstep_events_sink_stopped";
const EVENTS_ATTEMPTS: &str = "lockstep_events_attempts_total";

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
    freshness::describe();
    telemetry::describe();
    describe_counter!(CHANGES, Unit::Count, "Changes that got a number");
    describe_counter!(PASSES, Unit::Count, "Passes that were committed");
    describe_histogram!(PASS_SECONDS, Unit::Seconds, "From the ordering lock to the end of the commit");
    describe_gauge!(UNANNOUNCED, Unit::Count, "Numbers that were not announced yet");
    describe_gauge!(FLAWED_TRIGGERS, Unit::Count, "Capture triggers that are missing, disabled or altered");
    describe_gauge!(MISFITS, Unit::Count, "Mappings that are paused because they do not fit their table");
    describe_histogram!(PUBLISH_SECONDS, Unit::Seconds, "From reading a page of changes to the broker's confirm");
    describe_gauge!(LEADER, Unit::Count, "1 where this sequencer leads, 0 where it stands by");
    describe_gauge!(WENT_BACK, Unit::Count, "1 where ClickHouse is ahead of the source: `lockstep rewind` is needed");
    describe_gauge!(PAUSED, Unit::Count, "1 where `lockstep pause sequencer` is in force");
    describe_gauge!(
        PAUSED_PARTS,
        Unit::Count,
        "Parts that are paused, by kind; from the sequencer that leads, as all below"
    );
    describe_gauge!(ERASURES, Unit::Count, "Erasures of tenancies that are not done, of all destinations");
    describe_gauge!(
        OLDEST_ERASURE,
        Unit::Seconds,
        "For how long the first of them has not been done; 0 where there is none"
    );
    describe_gauge!(
        VERIFIED_AT,
        Unit::Seconds,
        "When a run of the verifier over all tenants last found a mapping equal or different, since 1970"
    );
    describe_gauge!(
        VERDICT,
        Unit::Count,
        "What the last such run said of a mapping: 0 equal, 1 different, 2 in flight, 3 not finished"
    );
    describe_gauge!(
        VERIFIED_ROWS,
        Unit::Count,
        "Rows that the last such run did not find equal, by mapping and result"
    );
    describe_counter!(EVENTS, Unit::Count, "Events that were written down for operators, by kind");
    describe_gauge!(EVENTS_WAITING, Unit::Count, "Events that a sink was not told of yet, counted up to 1,000");
    describe_counter!(EVENTS_DROPPED, Unit::Count, "Events that were forgotten before every sink was told of them");
    describe_gauge!(
        EVENTS_OLDEST,
        Unit::Seconds,
        "For how long the first event that a sink was not told of yet has waited; 0 where none waits"
    );
    describe_gauge!(
        EVENTS_GIVEN_UP,
        Unit::Count,
        "Events that a sink was not told of in all attempts, counted up to 1,000"
    );
    describe_gauge!(EVENTS_STOPPED, Unit::Count, "1 where a sink's receiver said that it is gone: it is told nothing");
    describe_counter!(
        EVENTS_ATTEMPTS,
        Unit::Count,
        "Requests to a webhook, by sink and result: taken, failed, or given_up for the last of an event"
    );
}

pub(crate) fn pass(took: Duration, changes: i64) {
    counter!(PASSES).increment(1);
    counter!(CHANGES).increment(u64::try_from(changes).unwrap_or(0));
    histogram!(PASS_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn published(took: Duration) {
    histogram!(PUBLISH_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn paused_parts(parts: &[(String, i64)]) {
    for (kind, parts) in parts {
        gauge!(PAUSED_PARTS, "kind" => kind.clone()).set(count(*parts));
    }
}

pub(crate) fn erasures((open, oldest): (i64, Option<Duration>)) {
    gauge!(ERASURES).set(count(open));
    gauge!(OLDEST_ERASURE).set(oldest.unwrap_or_default().as_secs_f64());
}

pub(crate) fn verifications(all: &[Latest]) {
    for Latest { mapping, verdict, judged_at_s, rows, .. } in all {
        let verdict = match verdict.as_str() {
            "equal" => 0.0,
            "different" => 1.0,
            "in_flight" => 2.0,
            _ => 3.0,
        };
        gauge!(VERDICT, "mapping" => mapping.clone()).set(verdict);
        if let Some(judged_at_s) = judged_at_s {
            gauge!(VERIFIED_AT, "mapping" => mapping.clone()).set(*judged_at_s);
        }
        for (result, rows) in RESULTS.iter().zip(rows) {
            gauge!(VERIFIED_ROWS, "mapping" => mapping.clone(), "result" => *result).set(count(*rows));
        }
    }
}

pub(crate) fn event(kind: String) {
    counter!(EVENTS, "kind" => kind).increment(1);
}

pub(crate) fn sink(state: &SinkState) {
    let SinkState { sink, stopped_at, waiting, given_up, oldest_waiting_s } = state;
    gauge!(EVENTS_WAITING, "sink" => sink.clone()).set(count(*waiting));
    gauge!(EVENTS_OLDEST, "sink" => sink.clone()).set(oldest_waiting_s.unwrap_or_default());
    gauge!(EVENTS_GIVEN_UP, "sink" => sink.clone()).set(count(*given_up));
    gauge!(EVENTS_STOPPED, "sink" => sink.clone()).set(f64::from(u8::from(stopped_at.is_some())));
}

/// Somebody else tells it.
pub(crate) fn no_sink(name: &str) {
    let (sink, stopped_at) = (name.to_owned(), None);
    self::sink(&SinkState { sink, stopped_at, waiting: 0, given_up: 0, oldest_waiting_s: None });
}

/// An alert looks whether it grows, which nobody sees of what begins with 1.
pub(crate) fn none_given_up(sink: &str) {
    counter!(EVENTS_ATTEMPTS, "sink" => sink.to_owned(), "result" => "given_up").increment(0);
}

pub(crate) fn attempt(sink: &str, result: &'static str) {
    counter!(EVENTS_ATTEMPTS, "sink" => sink.to_owned(), "result" => result).increment(1);
}

pub(crate) fn events_dropped(events: i64) {
    counter!(EVENTS_DROPPED).increment(u64::try_from(events).unwrap_or(0));
}

fn count(things: i64) -> f64 {
    f64::from(u32::try_from(things).unwrap_or(if things < 0 { 0 } else { u32::MAX }))
}

/// Sets a gauge: how many there are, or 1 where something is so.
pub(crate) fn set(name: &'static str, value: impl TryInto<u32>) {
    gauge!(name).set(value.try_into().unwrap_or(u32::MAX));
}
