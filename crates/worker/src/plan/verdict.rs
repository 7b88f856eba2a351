//! What follows from a failure: for the work in hand, and for its message.

use lockstep_destinations::Retry;
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
            Self::Destination(error) if error.retry() == Retry::Later => Verdict::Hold,
            Self::Destination(_) => Verdict::PutOff,
            // Seen only where the task that writes was ended: at shutdown.
            Self::WriterGone => Verdict::Hold,
            // No work is at fault.
            Self::NotAReplica => Verdict::Hold,
            Self::Source(_) | Self::Codec(_) | Self::Violation(_) => Verdict::PutOff,
            Self::Refused { .. } | Self::TooManyRefused { .. } | Self::QuarantineFull { .. } => Verdict::PutOff,
        }
    }
}

/// Whether Postgres will answer differently by itself.
fn is_passing(error: &SourceError) -> bool {
    match error {
        SourceError::Timeout(_) => true,
        SourceError::Postgres(error) => match error.code() {
            Some(code) => is_passing_state(code.code()),
            // No answer of the server's: the connection broke.
            None => true,
        },
        SourceError::Url(_)
        | SourceError::Tls(_)
        | SourceError::Diesel(_)
        | SourceError::Connection(_)
        | SourceError::Migration(_)
        | SourceError::Unexpected(_)
        | SourceError::Pooler(_)
        | SourceError::RowSecurity(_) => false,
    }
}

fn is_passing_state(sqlstate: &str) -> bool {
    // Classes: connection, resources, rollback (deadlock, serialization), operator intervention, system.
    let passing_class = ["08", "53", "40", "57", "58"].iter().any(|class| sqlstate.starts_with(class));
    // Lock timeout, and a session that was ended because its transaction was idle.
    passing_class || ["55P03", "25P03"].contains(&sqlstate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_destinations::{DestinationError, Failure};
    use std::time::Duration;

    #[test]
    fn a_destination_that_is_away_burns_no_attempts_and_one_that_refuses_does() {
        let verdict = |failure| ShipError::from(DestinationError::new(failure, "ClickHouse", "why")).verdict();
        for failure in [Failure::Unavailable, Failure::Overloaded, Failure::Late] {
            assert_eq!(verdict(failure), Verdict::Hold);
        }
        for failure in [Failure::Rejected, Failure::Misconfigured, Failure::Unexpected, Failure::TooLarge] {
            assert_eq!(verdict(failure), Verdict::PutOff);
        }
    }

    #[test]
    fn a_source_that_does_not_answer_is_waited_for() {
        assert_eq!(ShipError::from(SourceError::Timeout(Duration::ZERO)).verdict(), Verdict::Hold);
        assert_eq!(ShipError::from(SourceError::Url("it is wrong".to_owned())).verdict(), Verdict::PutOff);
        assert!(is_passing_state("08006") && is_passing_state("57P01") && is_passing_state("55P03"));
        assert!(!is_passing_state("42703"), "a column that is missing does not come back by itself");
    }
}
