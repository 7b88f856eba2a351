//! The ClickHouse destination against a real server.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod cursors;
mod errors;
mod faulty;
mod fixture;
mod inserts;
mod inspect;
mod late;
mod pages;
mod streams;
mod tls;
