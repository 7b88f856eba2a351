//! For tests, demo and benchmarks only: databases of their own, realistic data, live edits, and an oracle that knows
//! what ClickHouse must hold.
//!
//! Deliberately independent: the oracle shares neither SQL nor code with what it judges.

pub mod attached;
pub mod data;
pub mod databases;
pub mod edits;
pub mod oracle;
