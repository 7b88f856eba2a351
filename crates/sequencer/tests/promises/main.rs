//! The sequencer's promises, each under its id, against a real Postgres and a real RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod announcing;
mod broken;
mod capture;
mod dependents;
mod fairness;
mod fences;
mod fixture;
mod leading;
mod migrations;
mod order;
mod program;
mod restores;
mod statements;
mod stopping;
mod undisturbed;
