//! Why nothing, or not everything, could be compared.

use lockstep_core::{TenancyId, exit};
use lockstep_destinations::DestinationError;
use lockstep_mappings::DefinitionErrors;
use lockstep_mappings::codec::CodecError;
use lockstep_schema::{SourceError, SqlStateKind};
use uuid::Uuid;

use crate::file::FileError;
use crate::merge::Side;

/// Why verification did not come to its end. Nothing was written, and nothing is known to differ or to be equal.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A definition is wrong.
    #[error(transparent)]
    Definitions(#[from] DefinitionErrors),
    /// `--mapping` names none.
    #[error("LS-0301: there is no mapping {name:?}; there are {}", known.join(", "))]
    UnknownMapping {
        /// As it was given.
        name: String,
        /// All there are.
        known: Vec<String>,
    },
    /// `--destination` names none.
    #[error("LS-0312: there is no destination {0}; `lockstep destination list` shows those of tenants")]
    UnknownDestination(Uuid),
    /// `--tenant` names nobody that is or was in the source.
    #[error(
        "LS-0302: there is no row of \"Tenancy\" with the id {}, and Lockstep has known none; check the id",
        join(.0)
    )]
    UnknownTenants(Vec<TenancyId>),
    /// More locations than one statement should hold.
    #[error(
        "LS-0303: {found} locations were asked for, at most {limit} can be; leave out --tenant to compare everything"
    )]
    TooManyLocations {
        /// Of the tenancies that were named.
        found: usize,
        /// What is accepted.
        limit: usize,
    },
    /// The merge relies on an order that did not hold.
    #[error(
        "LS-0305: rows of {mapping} do not come from {side} in the order of their bytes; its text is not UTF-8, or its order was changed on the way"
    )]
    OutOfOrder {
        /// Which rows.
        mapping: String,
        /// From where.
        side: &'static str,
    },
    /// What came is not what was asked for.
    #[error(
        "LS-0306: rows cannot be read: {0}; if both services are of supported versions, this is a fault in Lockstep"
    )]
    Unreadable(#[from] CodecError),
    /// A mapping is set up otherwise than the verifier knows it, or was set up otherwise while it was compared.
    #[error(
        "LS-0309: nothing can be said: mappings {0}; run the verifier of the release and with the LOCKSTEP_MAPPINGS_DIR with \
         which `lockstep migrate` was run last, and run it again where that was meanwhile"
    )]
    OtherDefinitions(&'static str),
    /// A tenant's own destination cannot be connected to as it is registered: why, without a value of it.
    #[error("{0}")]
    NotOpened(String),
    /// A file to compare with is wrong, or could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Rows of a destination that is being filled say nothing.
    #[error(
        "LS-0333: {mapping} is not filled in {destination}, or does not go there: its rows are not all there; `lockstep status` tells how far it is"
    )]
    NotFilled {
        /// The mapping.
        mapping: String,
        /// Where.
        destination: String,
    },
    /// A tenancy is not fit for the self-test.
    #[error("LS-0314: tenancy {tenant} is not fit for the self-test: {why}; see docs/errors/LS-0314.md")]
    NoCanary {
        /// Which.
        tenant: TenancyId,
        /// Why.
        why: String,
    },
    /// More rows differ than may be mended at a time.
    #[error(
        "LS-0313: {rows} rows differ that could be mended, at most {limit} may be (--max-repairs), so none was; look at why there are so many first"
    )]
    TooManyRepairs {
        /// That many.
        rows: u64,
        /// `--max-repairs`.
        limit: u64,
    },
    /// What is done as an operator does it failed.
    #[error(transparent)]
    Operation(#[from] lockstep_operations::OperationError),
    /// A signal.
    #[error("LS-0307: stopped by a signal before everything was compared")]
    Stopped,
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A destination failed.
    #[error("{0}. {remedy}", remedy = remedy_once(.0))]
    Destination(#[from] DestinationError),
}

impl VerifyError {
    pub(crate) fn out_of_order(mapping: &str, side: Side) -> Self {
        let side = match side {
            Side::Source => "Postgres",
            Side::Destination => "the destination",
        };
        Self::OutOfOrder { mapping: mapping.to_owned(), side }
    }

    /// Whether a row that was read may be at fault, where its mapping fits its table: others can be read.
    pub(crate) fn may_be_of_row(&self) -> bool {
        matches!(self, Self::Source(error) if error.kind().is_some_and(SqlStateKind::may_be_of_row))
    }

    /// What a program ends with: 78 where the settings are wrong, else 3.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Definitions(_)
            | Self::UnknownMapping { .. }
            | Self::UnknownDestination(_)
            | Self::NoCanary { .. }
            | Self::TooManyLocations { .. } => exit::CONFIGURATION,
            Self::File(error) => error.exit_code(),
            Self::Source(error) if error.is_configuration() => exit::CONFIGURATION,
            _ => exit::UNFINISHED,
        }
    }
}

impl From<tokio_postgres::Error> for VerifyError {
    fn from(error: tokio_postgres::Error) -> Self {
        SourceError::from(error).into()
    }
}

/// A verifier tries nothing again by itself.
fn remedy_once(error: &DestinationError) -> &'static str {
    let remedy = error.remedy();
    remedy.strip_prefix("It is tried again by itself. ").unwrap_or(remedy)
}

fn join(ids: &[TenancyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
