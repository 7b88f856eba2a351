//! The queue's metrics, by name.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

const PUBLISHED: &str = "lockstep_queue_published_total";
const DELIVERED: &str = "lockstep_queue_delivered_total";
const RETRIED: &str = "lockstep_queue_retried_total";
const DEAD_LETTERED: &str = "lockstep_queue_dead_lettered_total";
const CONFIRM: &str = "lockstep_queue_confirm_seconds";

/// Why a message went to the dead letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// It is no batch.
    Garbage,
    /// Every attempt failed.
    Attempts,
}

/// Tells the recorder what the names mean. Repeating it changes nothing.
pub(crate) fn describe() {
    describe_counter!(PUBLISHED, Unit::Count, "Messages that the broker confirmed");
    describe_counter!(DELIVERED, Unit::Count, "Messages that were handed to a worker");
    describe_counter!(RETRIED, Unit::Count, "Messages that were retried with a delay");
    describe_counter!(DEAD_LETTERED, Unit::Count, "Messages that were given up, by cause");
    describe_histogram!(CONFIRM, Unit::Seconds, "From publishing a window of messages to the last confirm");
}

pub(crate) fn published(messages: usize) {
    counter!(PUBLISHED).increment(u64::try_from(messages).unwrap_or(u64::MAX));
}

pub(crate) fn delivered() {
    counter!(DELIVERED).increment(1);
}

pub(crate) fn retried() {
    counter!(RETRIED).increment(1);
}

pub(crate) fn dead_lettered(cause: Cause) {
    let cause = match cause {
        Cause::Garbage => "garbage",
        Cause::Attempts => "attempts",
    };
    counter!(DEAD_LETTERED, "cause" => cause).increment(1);
}

pub(crate) fn confirmed(after: Duration) {
    histogram!(CONFIRM).record(after.as_secs_f64());
}
