//! The sequencer's metrics, by name.

use std::time::Duration;

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

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
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
}

pub(crate) fn pass(took: Duration, changes: i64) {
    counter!(PASSES).increment(1);
    counter!(CHANGES).increment(u64::try_from(changes).unwrap_or(0));
    histogram!(PASS_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn published(took: Duration) {
    histogram!(PUBLISH_SECONDS).record(took.as_secs_f64());
}

/// Sets a gauge: how many there are, or 1 where something is so.
pub(crate) fn set(name: &'static str, value: impl TryInto<u32>) {
    gauge!(name).set(value.try_into().unwrap_or(u32::MAX));
}
