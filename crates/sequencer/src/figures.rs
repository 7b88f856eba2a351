//! The sequencer's metrics, by name.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const STAMPED: &str = "lockstep_sequencer_stamped_rows_total";
const PASSES: &str = "lockstep_sequencer_passes_total";
const PASS_SECONDS: &str = "lockstep_sequencer_pass_seconds";
const BATCH_ROWS: &str = "lockstep_sequencer_batch_rows";
const OUTBOX_DEPTH: &str = "lockstep_sequencer_outbox_depth";
const PUBLISH_SECONDS: &str = "lockstep_sequencer_publish_seconds";
const LEADER: &str = "lockstep_sequencer_leader";
const WENT_BACK: &str = "lockstep_sequencer_source_went_back";
const STOPPED: &str = "lockstep_sequencer_stopped";

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
    describe_counter!(STAMPED, Unit::Count, "Rows that got a number, by table");
    describe_counter!(PASSES, Unit::Count, "Stamping transactions that were committed");
    describe_histogram!(PASS_SECONDS, Unit::Seconds, "From the ordering lock to the end of the commit");
    describe_gauge!(BATCH_ROWS, Unit::Count, "Rows of a table that are stamped at once, by table");
    describe_gauge!(OUTBOX_DEPTH, Unit::Count, "Tenancies that wait to be announced, up to 100,000");
    describe_histogram!(PUBLISH_SECONDS, Unit::Seconds, "From reading a page of the outbox to the broker's confirm");
    describe_gauge!(LEADER, Unit::Count, "1 where this sequencer leads, 0 where it stands by");
    describe_gauge!(WENT_BACK, Unit::Count, "1 where ClickHouse is ahead of the source: `lockstep rewind` is needed");
    describe_gauge!(STOPPED, Unit::Count, "1 where `lockstep fusebox` has stopped stamping");
}

pub(crate) fn pass(took: Duration) {
    counter!(PASSES).increment(1);
    histogram!(PASS_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn stamped(table: &str, rows: i64) {
    counter!(STAMPED, "table" => table.to_owned()).increment(u64::try_from(rows).unwrap_or(0));
}

pub(crate) fn batch_rows(table: &str, rows: i64) {
    gauge!(BATCH_ROWS, "table" => table.to_owned()).set(u32::try_from(rows).unwrap_or(u32::MAX));
}

pub(crate) fn outbox_depth(tenancies: i64) {
    gauge!(OUTBOX_DEPTH).set(u32::try_from(tenancies).unwrap_or(u32::MAX));
}

pub(crate) fn published(took: Duration) {
    histogram!(PUBLISH_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn source_went_back(went_back: bool) {
    gauge!(WENT_BACK).set(if went_back { 1 } else { 0 });
}

pub(crate) fn stopped(stopped: bool) {
    gauge!(STOPPED).set(if stopped { 1 } else { 0 });
}

pub(crate) fn leads(leads: bool) {
    gauge!(LEADER).set(if leads { 1 } else { 0 });
}
