//! What can go wrong with the sequencer, and whether trying again can help.

use std::net::SocketAddr;

use lockstep_core::exit;
use lockstep_destinations::{DestinationError, WentBack};
use lockstep_mappings::DefinitionErrors;
use lockstep_queue::QueueError;
use lockstep_schema::SourceError;

/// Why the sequencer ended, or why a look at the source failed.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// Definitions are wrong.
    #[error("{0}")]
    Definitions(#[from] DefinitionErrors),
    /// The source database.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// RabbitMQ refused the first connection for a reason that waiting does not mend.
    #[error("{0}")]
    Queue(#[from] QueueError),
    /// Lockstep's own tables are not there yet.
    #[error("LS-0023: the source database lacks Lockstep's own tables; run `lockstep migrate` first")]
    NotMigrated,
    /// The sequence does not hand out growing numbers.
    #[error(
        "LS-0501: the sequence lockstep.sequence cannot put changes in order: {0}; alter it so that its numbers only \
         grow (ALTER SEQUENCE … INCREMENT BY 1 NO CYCLE CACHE 1)"
    )]
    Sequence(&'static str),
    /// ClickHouse has rows or cursors with numbers that the source never gave out.
    #[error(
        "LS-0510: nothing is numbered: {0}. Run `lockstep rewind`, which moves the sequence on and exports again what may have \
         been missed; where this ClickHouse belongs to another source, set the right one instead"
    )]
    SourceWentBack(WentBack),
    /// ClickHouse cannot be asked how far it has come.
    #[error("LS-0511: nothing is numbered until ClickHouse has said how far it has come: {0}")]
    RewindUnchecked(DestinationError),
    /// `lockstep migrate` was run with other definitions.
    #[error(
        "LS-0514: nothing is numbered by this sequencer: `lockstep migrate` was last run with other definitions of what is \
         captured; start it again with the same release and the same LOCKSTEP_MAPPINGS_DIR, or run `lockstep migrate` with these"
    )]
    OtherDefinitions,
    /// ClickHouse is of a version that is too old.
    #[error("{0}. {remedy}", remedy = .0.remedy())]
    Outdated(DestinationError),
    /// Health and metrics cannot be served.
    #[error("LS-0502: LOCKSTEP_LISTEN: {address} cannot be bound: {error}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A task of the sequencer's own ended unexpectedly.
    #[error("LS-0503: a part of the sequencer ended unexpectedly: {0}; start it again and report this")]
    Internal(String),
}

impl SequencerError {
    /// Whether it goes away without anybody changing settings or the source by hand, or once `lockstep migrate` was run.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Source(error) => !error.is_configuration(),
            // Once it was mended, or is reachable.
            Self::NotMigrated | Self::OtherDefinitions | Self::SourceWentBack(_) | Self::RewindUnchecked(_) => true,
            Self::Queue(error) => error.is_retryable(),
            Self::Definitions(_) | Self::Sequence(_) | Self::Outdated(_) | Self::Listen { .. } | Self::Internal(_) => {
                false
            }
        }
    }

    /// The exit code of a sequencer that ends with this.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Source(error) if !error.is_configuration() => exit::DIFFERENT,
            Self::NotMigrated
            | Self::OtherDefinitions
            | Self::SourceWentBack(_)
            | Self::RewindUnchecked(_)
            | Self::Internal(_) => exit::DIFFERENT,
            Self::Source(_)
            | Self::Definitions(_)
            | Self::Queue(_)
            | Self::Sequence(_)
            | Self::Outdated(_)
            | Self::Listen { .. } => exit::CONFIGURATION,
        }
    }
}
