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
    /// Lockstep's own tables are not there yet.
    #[error("LS-0023: the source database has no schema lockstep yet; run `lockstep migrate` first")]
    NotMigrated,
    /// What is to be erased exists.
    #[error(
        "LS-0040: tenancy {0} exists in the source, so its rows stay; delete it there, or give --and-stop to ship it no \
         more and erase what was shipped"
    )]
    StillExists(lockstep_core::TenancyId),
    /// Nobody knows where it was.
    #[error(
        "LS-0041: nothing is known of tenancy {0}; check the id, or say with --project and --branch where its rows are"
    )]
    PlaceUnknown(lockstep_core::TenancyId),
    /// It is back.
    #[error("LS-0042: tenancy {0} exists in the source again, or its fuse was reset; what was left of it stays")]
    CameBack(lockstep_core::TenancyId),
    /// No such setting, or no such value.
    #[error(
        "LS-0043: {name} cannot be set to {value}; `lockstep settings` names what can be set, a value is a duration such \
         as '10 minutes' (late_write_limit: 1 second to 1 day)"
    )]
    SettingRefused {
        /// As it was given.
        name: String,
        /// As it was given.
        value: String,
    },
}

impl CliError {
    /// The exit code of a command that ends with this.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Misfits(_) | Self::OtherShape(_) | Self::NamesTaken(_) | Self::NotEmpty | Self::UnknownTenancy(_) => {
                exit::CONFIGURATION
            }
            Self::PlaceUnknown(_) | Self::SettingRefused { .. } => exit::CONFIGURATION,
            Self::Source(_) | Self::Destination(_) | Self::NotMigrated | Self::StillExists(_) | Self::CameBack(_) => {
                exit::DIFFERENT
            }
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
}
