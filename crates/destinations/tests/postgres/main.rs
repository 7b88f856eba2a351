//! Tenants' own Postgres against a real server, and against some that mean no good.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod addresses;
mod connection_strings;
mod fills;
mod fixture;
mod hostile;
mod hostile_server;
mod pages;
mod refusals;
mod secrets;
mod tables;
mod types;
