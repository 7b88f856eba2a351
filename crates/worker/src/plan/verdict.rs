//! What follows from a failure. The only place that decides it.

use lockstep_destinations::Failure;
use lockstep_schema::SourceError;

use crate::error::ShipError;

/// What to do with work that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing is wrong with the work: the same again after a growing wait, without giving the message back.
    Hold,
    /// The work itself may be at fault: give the message back, to come again later and, after its last attempt, to lie
    /// with the dead letters.
    PutOff,
}

impl ShipError {
    /// What follows from this failure.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Source(error) if is_passing(error) => Verdict::Hold,
            Self::Destination(error) => match error.failure() {
                Failure::Unavailable | Failure::Overloaded => Verdict::Hold,
                Failure::Rejected | Failure::Misconfigured | Failure::Unexpected | Failure::TooLarge => Verdict::PutOff,
            },
            // Seen only where the task that writes was ended: at shutdown.
            Self::WriterGone => Verdict::Hold,
            Self::Source(_) | Self::Codec(_) | Self::Violation(_) | Self::Refused { .. } => Verdict::PutOff,
        }
    }
}

/// Whether Postgres will answer differently by itself.
fn is_passing(error: &SourceError) -> bool {
    match error {
        SourceError::Timeout(_) => true,
        SourceError::Postgres(error) => match error.code() {
            // Classes of SQLSTATE: connection, resources, rollback (deadlock, serialization), operator intervention, system.
            Some(code) => {
                ["08", "53", "40", "57", "58"].contains(&&code.code()[..2])
                    // Lock timeout, and a session that was ended because its transaction was idle.
                    || ["55P03", "25P03"].contains(&code.code())
            }
            // No answer of the server's: the connection broke.
            None => true,
        },
        SourceError::Url(_)
        | SourceError::Tls(_)
        | SourceError::Diesel(_)
        | SourceError::Connection(_)
        | SourceError::Migration(_) => false,
    }
}
