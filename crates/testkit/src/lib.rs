//! For tests, demo and benchmarks only: databases of their own, realistic data, live edits, and an oracle that knows
//! what ClickHouse must hold.
//!
//! Deliberately independent: the oracle shares neither SQL nor code with what it judges.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "demo and benchmarks speak to people through their output"
)]

pub mod attached;
pub mod bench;
pub mod chaos;
pub mod data;
pub mod databases;
pub mod demo;
pub mod edits;
pub mod held;
pub mod installation;
pub mod lag;
pub mod oracle;
pub mod passes;
pub mod proxy;
