//! The sequencer's promises, each under its id, against a real Postgres and a real RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod announcing;
mod broken;
mod dependents;
mod fairness;
mod fences;
mod fixture;
mod foreign;
mod leading;
mod locked;
mod order;
mod program;
mod speed;
mod stopping;
