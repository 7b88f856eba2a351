//! Who did what: an entry in `lockstep.action` for every action of the console, as the equal command writes one.
//!
//! It names the console, the address of whoever sent the form, and the user where a trusted proxy names one. Reasons are free text, which may hold anything, and stay out of
//! it: a pause keeps its own until it is resumed, and the console's log has those of all actions.

use lockstep_core::output::code_in;
use lockstep_operations::{begin_action, end_action};

use super::action::Action;
use crate::access::Visitor;
use crate::answer::Refusal;
use crate::state::Console;

/// The entry of an action that is being done.
pub(super) struct Entry {
    id: i64,
    action: Action,
    reason: String,
    through: String,
}

impl Entry {
    /// Writes down that an action begins. What cannot be written down is not done.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(super) async fn begin(
        console: &Console,
        action: &Action,
        reason: &str,
        visitor: &Visitor,
    ) -> Result<Self, Refusal> {
        let through = visitor.through();
        let lent = console.writers.lend().await?;
        let id = begin_action(&lent.deployment, &through, &action.change()).await?;
        lent.give_back();
        Ok(Self { id, action: action.clone(), reason: reason.to_owned(), through })
    }

    /// Writes down what came of it. What is done is done: where this cannot be written, the log says so.
    pub(super) async fn end(self, console: &Console, outcome: &Result<String, String>) {
        let Self { id, action, reason, through } = self;
        let command = action.command(Some(&reason));
        let said = match outcome {
            Ok(outcome) => {
                tracing::info!(command, reason, through, outcome, "action of the console");
                outcome.clone()
            }
            Err(error) => {
                tracing::warn!(command, reason, through, error, "action of the console failed");
                // Errors may name hosts and values; their code is enough here.
                format!("failed: {}", code_in(error).unwrap_or("the console's log says why"))
            }
        };
        let written = async {
            let lent = console.writers.lend().await?;
            end_action(&lent.deployment, id, &said).await?;
            lent.give_back();
            Ok::<_, Refusal>(())
        };
        if let Err(refusal) = written.await {
            tracing::error!(error = refusal.text(), id, "lockstep.action does not say what came of an action");
        }
    }
}
