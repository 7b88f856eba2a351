//! The worker's metrics, by name.

use std::time::Duration;

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::traffic::{self, Rows};
use lockstep_core::{MappingName, freshness, telemetry};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::flush::DurablePage;
use crate::janitor::Round;

const ROWS: &str = "lockstep_worker_rows_total";
const BYTES: &str = "lockstep_worker_bytes_total";
const INSERTS: &str = "lockstep_worker_inserts_total";
const FILLED_ROWS: &str = "lockstep_worker_filled_rows_total";
const FAILURES: &str = "lockstep_worker_failures_total";
const FLUSH: &str = "lockstep_worker_flush_seconds";
const QUARANTINED: &str = "lockstep_worker_quarantined_rows_total";
const QUARANTINE: &str = "lockstep_worker_quarantine_rows";
const REPLICA_LAG: &str = "lockstep_worker_replica_lag_sequences";
const ERASED: &str = "lockstep_worker_erased_tenancies_total";
const DROPPED: &str = "lockstep_worker_dropped_rows_total";
const BEHIND: &str = "lockstep_tenancies_behind";
const TENANCIES: &str = "lockstep_worker_flush_tenancies";

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
    freshness::describe();
    telemetry::describe();
    describe_counter!(
        ROWS,
        Unit::Count,
        "Rows of the stream that the destination holds, by mapping and operation: upsert, or tombstone"
    );
    describe_counter!(BYTES, Unit::Bytes, "Bytes of inserts, by mapping");
    describe_counter!(INSERTS, Unit::Count, "Inserts, by mapping");
    describe_counter!(FILLED_ROWS, Unit::Count, "Rows of fills that the destination holds, by mapping");
    describe_counter!(ERASED, Unit::Count, "Tenancies that were erased from the destination");
    describe_counter!(DROPPED, Unit::Count, "Deleted rows that were dropped from the destination for good");
    describe_counter!(FAILURES, Unit::Count, "Work that did not get through at once, by kind");
    describe_counter!(
        QUARANTINED,
        Unit::Count,
        "Rows that the destination refused and the quarantine keeps, by mapping"
    );
    describe_gauge!(
        QUARANTINE,
        Unit::Count,
        "Rows in quarantine at the last sweep, by mapping; from the worker that sweeps"
    );
    describe_gauge!(
        BEHIND,
        Unit::Count,
        "Tenancies with a change that the destination is not known to hold, by mapping; from the worker that sweeps"
    );
    describe_gauge!(REPLICA_LAG, Unit::Count, "How far, in sequence numbers, the replica is behind what was announced");
    describe_histogram!(FLUSH, Unit::Seconds, "A flush, from its first question to its last cursor");
    describe_histogram!(TENANCIES, Unit::Count, "Tenancies of a flush");
}

pub(crate) fn flushed(tenancies: usize, took: Duration) {
    histogram!(FLUSH).record(took.as_secs_f64());
    histogram!(TENANCIES).record(f64::from(u32::try_from(tenancies).unwrap_or(u32::MAX)));
}

pub(crate) fn written(mapping: &MappingName, written: &DurablePage) {
    let rows = Rows { upserts: written.rows - written.tombstones, tombstones: written.tombstones };
    traffic::written(mapping.as_str(), rows);
    let operations = [("upsert", rows.upserts), ("tombstone", rows.tombstones)];
    for (operation, rows) in operations.into_iter().filter(|(_, rows)| *rows > 0) {
        counter!(ROWS, "mapping" => mapping.to_string(), "operation" => operation).increment(rows);
    }
    page(mapping, written);
}

pub(crate) fn filled(mapping: &MappingName, written: &DurablePage) {
    counter!(FILLED_ROWS, "mapping" => mapping.to_string()).increment(written.rows);
    page(mapping, written);
}

fn page(mapping: &MappingName, written: &DurablePage) {
    counter!(BYTES, "mapping" => mapping.to_string()).increment(written.sent.bytes);
    counter!(INSERTS, "mapping" => mapping.to_string()).increment(written.sent.writes);
}

pub(crate) fn quarantined(mapping: &MappingName, rows: usize) {
    counter!(QUARANTINED, "mapping" => mapping.to_string()).increment(rows as u64);
}

pub(crate) fn in_quarantine(mapping: &MappingName, rows: i64) {
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    gauge!(QUARANTINE, "mapping" => mapping.to_string()).set(rows as f64);
}

pub(crate) fn behind(mapping: &MappingName, tenancies: u64) {
    let tenancies = f64::from(u32::try_from(tenancies).unwrap_or(u32::MAX));
    gauge!(BEHIND, "mapping" => mapping.to_string(), "destination" => CLICKHOUSE).set(tenancies);
}

pub(crate) fn replica_lag(sequences: i64) {
    #[allow(clippy::cast_precision_loss, reason = "a figure to look at")]
    gauge!(REPLICA_LAG).set(sequences as f64);
}

pub(crate) fn janitor(round: &Round) {
    counter!(ERASED).increment(round.erased as u64);
    counter!(DROPPED).increment(round.dropped);
}

pub(crate) fn failed(kind: &'static str) {
    counter!(FAILURES, "kind" => kind).increment(1);
}
