//! The ClickHouse destination against a real server.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod cursors;
mod errors;
mod fixture;
mod inserts;
mod provision;
mod settings;
mod streams;
mod tls;
mod views;
