//! What `lockstep-queue` promises, shown against a real broker. Every test has queues of its own and deletes them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod broker;
mod delivering;
mod failing;
mod observing;
mod proxy;
mod reconnecting;
mod retrying;
mod rights;
mod topology;
