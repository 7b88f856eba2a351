//! What can go wrong in a worker.

use lockstep_core::{SequenceId, TenancyId, exit};
use lockstep_destinations::{self as destinations, DestinationError, Failure};
use lockstep_mappings::DefinitionErrors;
use lockstep_mappings::codec::CodecError;
use lockstep_queue::QueueError;
use lockstep_schema::{SourceError, SqlStateKind};

/// Why a worker did not start, or ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Definitions of mappings are wrong.
    #[error(transparent)]
    Definitions(#[from] DefinitionErrors),
    /// The source's settings cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination's settings cannot be used.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The broker refuses, or its settings cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Certificate authorities cannot be used.
    #[error("LS-0001: LOCKSTEP_TLS_CA_FILE cannot be used: {0}")]
    Authorities(String),
    /// Health and metrics cannot be served.
    #[error("LS-0401: LOCKSTEP_LISTEN cannot be used: {0}; choose an address of this machine and a free port")]
    Listen(std::io::Error),
    /// A part of the worker panicked: a mistake in Lockstep.
    #[error("LS-0402: a part of the worker ended unexpectedly: {0}; please report it with the log before it")]
    Ended(tokio::task::JoinError),
}

impl WorkerError {
    /// The exit code to end with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Definitions(_) | Self::Source(_) | Self::Destination(_) | Self::Authorities(_) | Self::Listen(_) => {
                exit::CONFIGURATION
            }
            Self::Queue(QueueError::Misconfigured { .. } | QueueError::BadCertificates { .. }) => exit::CONFIGURATION,
            Self::Queue(_) | Self::Ended(_) => exit::DIFFERENT,
        }
    }
}

/// A row is not one that was asked for. Nothing of its page is kept, and no cursor moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Violation {
    /// ISO-1.
    #[error("LS-0403: a row of tenancy {0} came, which was not asked for or is out of its turn")]
    Tenancy(TenancyId),
    /// ISO-1.
    #[error("LS-0404: a row of tenancy {0} says that it belongs to a project and branch that are not the tenancy's")]
    Location(TenancyId),
    /// CUR-1: a cursor could pass a row that comes out of order.
    #[error(
        "LS-0405: rows of tenancy {tenancy} are not in the order of their sequence, or share the sequence {sequence}"
    )]
    Order {
        /// Whose.
        tenancy: TenancyId,
        /// The second of the two.
        sequence: SequenceId,
    },
}

/// Cursors say that more was shipped than any number the source gave out (SRC-1). Nothing of these tenancies is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "LS-0420: cursors of {tenancies} tenancies are ahead of sequence {source_at}, the last that the source knows: it was \
     restored to an earlier state, or is another source; run `lockstep rewind`"
)]
pub(crate) struct CursorsAhead {
    pub(crate) tenancies: usize,
    pub(crate) source_at: SequenceId,
}
/// The code of [`ShipError::Unreadable`].
const CANNOT_BE_READ: &str = "LS-0410";

/// The code of [`ShipError::Refused`].
pub(crate) const fn refusal_code(error: &CodecError) -> &'static str {
    match error {
        CodecError::TooLong { .. } => "LS-0411",
        _ => "LS-0407",
    }
}

/// Why rows of a mapping did not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShipError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error("LS-0406: {0}")]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The value itself is never told.
    #[error("{}: a row of tenancy {tenancy} cannot be written: {error}", refusal_code(.error))]
    Refused { tenancy: TenancyId, error: CodecError },
    /// Told from the others by halving.
    #[error("{CANNOT_BE_READ}: a row of tenancy {tenancy} cannot be read: {reason}")]
    Unreadable { tenancy: TenancyId, reason: String },
    /// No single row's fault, as it seems.
    #[error(
        "LS-0430: so many rows were refused one after another that no more are set aside; compare the table with its mapping: {reason}"
    )]
    TooManyRefused { reason: String },
    /// No longer single rows that somebody mends.
    #[error(
        "LS-0431: the quarantine holds as many rows of this mapping as it may; mend them, or forget them with `lockstep quarantine drop`: {reason}"
    )]
    QuarantineFull { reason: String },
}

impl From<tokio_postgres::Error> for ShipError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Source(error.into())
    }
}

impl ShipError {
    /// Whether a row may be at fault that could be told from the others; where the source says so, the mapping has to fit its
    /// table besides.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Source(error) => error.kind().is_some_and(SqlStateKind::may_be_of_row),
            Self::Destination(error) => error.retry() == destinations::Retry::Bisect,
            _ => false,
        }
    }

    /// The code and the text with which the row of this tenancy that it is of goes into quarantine.
    pub(crate) fn of_row(&self, tenancy: TenancyId) -> (&'static str, String) {
        match self {
            Self::Refused { error, .. } => (refusal_code(error), self.to_string()),
            _ => (CANNOT_BE_READ, Self::Unreadable { tenancy, reason: self.to_string() }.to_string()),
        }
    }

    /// Whether the source failed, and not what its rows were given to.
    pub(crate) const fn is_of_source(&self) -> bool {
        matches!(self, Self::Source(_))
    }

    /// Whether it was read too long ago to be written.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Destination(error) if error.failure() == Failure::Late)
    }

    /// A word for metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) | Self::Unreadable { .. } => "source",
            Self::Destination(error) => error.code(),
            Self::Codec(_) | Self::Refused { .. } => "codec",
            Self::TooManyRefused { .. } | Self::QuarantineFull { .. } => "refused",
            Self::Violation(_) => "violation",
        }
    }
}

/// What to do with work that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retry {
    /// Nothing is wrong with the work: the same again after a growing wait, without giving the message back.
    InPlace,
    /// The work itself may be at fault: give the message back, to come again later and, after its last attempt, to lie
    /// with the dead letters.
    Requeue,
}

impl ShipError {
    /// What follows from this failure.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Source(error) if error.kind().is_some_and(SqlStateKind::is_passing) => Retry::InPlace,
            Self::Destination(error) => match error.failure() {
                Failure::Unavailable | Failure::Overloaded | Failure::Late | Failure::Moved => Retry::InPlace,
                Failure::Rejected
                | Failure::Misconfigured
                | Failure::Outdated
                | Failure::Constrained
                | Failure::Unexpected
                | Failure::TooLarge
                | Failure::Forbidden => Retry::Requeue,
            },
            // No work is at fault.
            Self::Source(SourceError::NotAReplica) => Retry::InPlace,
            Self::Source(_) | Self::Unreadable { .. } | Self::Codec(_) | Self::Violation(_) => Retry::Requeue,
            Self::Refused { .. } | Self::TooManyRefused { .. } | Self::QuarantineFull { .. } => Retry::Requeue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_destination_that_is_away_burns_no_attempts_and_one_that_refuses_does() {
        let verdict = |failure| ShipError::from(DestinationError::new(failure, "ClickHouse", "why")).retry();
        for failure in [Failure::Unavailable, Failure::Overloaded, Failure::Late] {
            assert_eq!(verdict(failure), Retry::InPlace);
        }
        for failure in [Failure::Rejected, Failure::Misconfigured, Failure::Unexpected, Failure::TooLarge] {
            assert_eq!(verdict(failure), Retry::Requeue);
        }
    }

    #[test]
    fn a_source_that_does_not_answer_is_waited_for() {
        assert_eq!(ShipError::from(SourceError::Timeout(Duration::ZERO)).retry(), Retry::InPlace);
        assert_eq!(ShipError::from(SourceError::Url("it is wrong".to_owned())).retry(), Retry::Requeue);
    }
}
