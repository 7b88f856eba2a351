//! The sequencer's metrics, by name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CHANGES: &str = "lockstep_sequencer_changes_total";
const PASSES: &str = "lockstep_sequencer_passes_total";
const PASS_SECONDS: &str = "lockstep_sequencer_pass_seconds";
pub(crate) const UNANNOUNCED: &str = "lockstep_sequencer_unannounced_changes";
pub(crate) const FLAWED_TRIGGERS: &str = "lockstep_sequencer_flawed_triggers";
pub(crate) const MISFITS: &str = "lockstep_sequencer_stopped_mappings";
const PUBLISH_SECONDS: &str = "lockstep_sequencer_publish_seconds";
pub(crate) const LEADER: &str = "lockstep_sequencer_leader";
pub(crate) const WENT_BACK: &str = "lockstep_sequencer_source_went_back";
pub(crate) const STOPPED: &str = "lockstep_sequencer_stopped";
const TASK_LAST_RUN: &str = "lockstep_sequencer_task_last_run_timestamp_seconds";
const TASK_SECONDS: &str = "lockstep_sequencer_task_seconds";
const TASK_DONE: &str = "lockstep_sequencer_task_done_total";
const TASK_FAILURES: &str = "lockstep_sequencer_task_failures_total";

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
    describe_counter!(CHANGES, Unit::Count, "Changes that got a number");
    describe_counter!(PASSES, Unit::Count, "Passes that were committed");
    describe_histogram!(PASS_SECONDS, Unit::Seconds, "From the ordering lock to the end of the commit");
    describe_gauge!(UNANNOUNCED, Unit::Count, "Numbers that were not announced yet");
    describe_gauge!(FLAWED_TRIGGERS, Unit::Count, "Capture triggers that are missing, disabled or altered");
    describe_gauge!(MISFITS, Unit::Count, "Mappings that are stopped because they do not fit their table");
    describe_histogram!(PUBLISH_SECONDS, Unit::Seconds, "From reading a page of changes to the broker's confirm");
    describe_gauge!(LEADER, Unit::Count, "1 where this sequencer leads, 0 where it stands by");
    describe_gauge!(WENT_BACK, Unit::Count, "1 where ClickHouse is ahead of the source: `lockstep rewind` is needed");
    describe_gauge!(STOPPED, Unit::Count, "1 where `lockstep pause sequencer` is in force");
    describe_gauge!(TASK_LAST_RUN, Unit::Seconds, "When a periodic task last ran to its end, since 1970");
    describe_histogram!(TASK_SECONDS, Unit::Seconds, "How long runs of a periodic task took");
    describe_counter!(TASK_DONE, Unit::Count, "What a periodic task did: rows searched, inboxes emptied, fills begun");
    describe_counter!(TASK_FAILURES, Unit::Count, "Runs of a periodic task that failed");
}

pub(crate) fn pass(took: Duration, changes: i64) {
    counter!(PASSES).increment(1);
    counter!(CHANGES).increment(u64::try_from(changes).unwrap_or(0));
    histogram!(PASS_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn published(took: Duration) {
    histogram!(PUBLISH_SECONDS).record(took.as_secs_f64());
}

/// A run of a periodic task, and how much it did where it did not fail.
pub(crate) fn task(name: &'static str, took: Duration, did: Option<usize>) {
    histogram!(TASK_SECONDS, "task" => name).record(took.as_secs_f64());
    if let Some(did) = did {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(TASK_LAST_RUN, "task" => name).set(now.as_secs_f64());
        counter!(TASK_DONE, "task" => name).increment(did as u64);
    } else {
        counter!(TASK_FAILURES, "task" => name).increment(1);
    }
}

/// Sets a gauge: how many there are, or 1 where something is so.
pub(crate) fn set(name: &'static str, value: impl TryInto<u32>) {
    gauge!(name).set(value.try_into().unwrap_or(u32::MAX));
}
