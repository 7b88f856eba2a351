//! What a command ends with when it fails.

use lockstep_core::exit;
use lockstep_destinations::DestinationError;
use lockstep_mappings::postgres::facts::Misfit;
use lockstep_schema::SourceError;

/// Why a command failed; its text says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The source database.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// ClickHouse.
    #[error("{0}")]
    Destination(#[from] DestinationError),
    /// The source does not fit the definitions.
    #[error("LS-0015: the source database does not fit the definitions; nothing was changed:{}", list(.0))]
    Misfits(Vec<Misfit>),
    /// Tables in ClickHouse are of another shape.
    #[error(
        "LS-0016: ClickHouse holds tables of another shape, which are never written to; nothing was changed:{}\nEither \
         set LOCKSTEP_CLICKHOUSE_RAW_DATABASE (and LOCKSTEP_CLICKHOUSE_VIEW_DATABASE) to databases of other names; \
         Lockstep then builds and fills the right tables beside these. When `lockstep-verifier` finds them equal, set \
         LOCKSTEP_CLICKHOUSE_VIEW_DATABASE back and run `lockstep migrate --replace-views`: every view is swapped at \
         once. Or drop or rename the tables above and run this again.",
        list(.0)
    )]
    OtherShape(Vec<String>),
    /// Names are taken by views that read something else.
    #[error(
        "LS-0017: these names are taken in ClickHouse; nothing was changed:{}\nSet LOCKSTEP_CLICKHOUSE_VIEW_DATABASE \
         to a database of another name, or, once `lockstep-verifier` finds all equal, swap the views with --replace-views.",
        list(.0)
    )]
    NamesTaken(Vec<String>),
    /// `--standalone` on tables of somebody else.
    #[error(
        "LS-0018: this database already has a table \"Tenancy\" that Lockstep did not make; nothing was changed. Leave \
         --standalone away to attach to it, or give an empty database."
    )]
    NotEmpty,
    /// No such tenancy.
    #[error("LS-0019: there is no tenancy {0} in the source; check the id (\"Tenancy\".\"id\")")]
    UnknownTenancy(lockstep_core::TenancyId),
    /// No such mapping.
    #[error("LS-0040: there is no mapping {0}; `lockstep status` lists them all")]
    UnknownMapping(lockstep_core::MappingName),
    /// Lockstep's own tables are not there yet.
    #[error("LS-0023: the source database has no schema lockstep yet; run `lockstep migrate` first")]
    NotMigrated,
}

impl CliError {
    /// The exit code of a command that ends with this.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Misfits(_) | Self::OtherShape(_) | Self::NamesTaken(_) | Self::NotEmpty | Self::UnknownTenancy(_) => {
                exit::CONFIGURATION
            }
            Self::UnknownMapping(_) => exit::CONFIGURATION,
            Self::Source(_) | Self::Destination(_) | Self::NotMigrated => exit::DIFFERENT,
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
}
