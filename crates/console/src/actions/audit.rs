//! Who did what: the one place that every action of the console is told to.

use std::net::IpAddr;

use super::action::Action;

/// Tells of an action and what it came to. Reasons are the operator's words, and may be shown to operators.
pub(super) fn record(action: &Action, reason: &str, from: Option<IpAddr>, outcome: &Result<String, String>) {
    let from = from.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
    let (command, title) = (action.command(Some(reason)), action.title());
    match outcome {
        Ok(outcome) => tracing::info!(action = title, command, reason, from, outcome, "action of the console"),
        Err(error) => tracing::warn!(action = title, command, reason, from, error, "action of the console failed"),
    }
}
