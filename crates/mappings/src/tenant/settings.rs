//! How each transaction in a tenant's database begins.
//!
//! Settings are those of the transaction and not of the session, so that a pooler which lends sessions for one transaction
//! may stand in between.

use std::time::Duration;

/// What a transaction may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of one statement.
    pub statement: Duration,
    /// Of waiting for a lock of somebody else.
    pub lock: Duration,
    /// Of our silence, after which the server ends the transaction.
    pub idle: Duration,
}

/// Each setting, and why it is set.
const SETTINGS: &[(&str, &str)] = &[
    // Operators and functions are the server's own. Without its name, the temporary schema would come first.
    ("search_path", "pg_catalog, pg_temp"),
    // What is written down and read as text.
    ("standard_conforming_strings", "on"),
    ("datestyle", "'ISO, YMD'"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    // A policy must not hide rows: the statement fails instead.
    ("row_security", "off"),
    // What is acknowledged is on a disk.
    ("synchronous_commit", "on"),
    // Nobody reads notices.
    ("client_min_messages", "error"),
    // Pages are small beside tables: an index, never a look at all rows. Compiling takes longer than running.
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// Begins a transaction. Whether it may write is left as it is: a server that is full or stands by says so.
pub fn begin(limits: Limits) -> String {
    let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
    for (name, value) in SETTINGS {
        text.push_str(&format!(";\nSET LOCAL {name} = {value}"));
    }
    for (name, limit) in [
        ("statement_timeout", limits.statement),
        ("lock_timeout", limits.lock),
        ("idle_in_transaction_session_timeout", limits.idle),
    ] {
        text.push_str(&format!(";\nSET LOCAL {name} = {}", limit.as_millis()));
    }
    text
}
