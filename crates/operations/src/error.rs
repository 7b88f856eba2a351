//! What an operation ends with when it fails.

use std::path::PathBuf;

use crate::verified::CertificateError;
use lockstep_core::exit;
use lockstep_core::secret_keys::{KeyFileError, NoRandomness, OpenError};
use lockstep_destinations::postgres::ConnectionError;
use lockstep_destinations::{DestinationError, Failure, ProvisionError, WentBack};
use lockstep_mappings::clickhouse::access::UserName;
use lockstep_mappings::postgres::facts::Misfit;
use lockstep_mappings::{DefinitionErrors, DraftError, MappingSet};
use lockstep_schema::{SourceError, SqlStateKind};

use crate::DESTINATION;
use crate::explain::KeyProblem;

/// Why an operation ended before it was done. The same operation continues where it was.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The limit was reached.
    #[error("the time is up while waiting: {0}")]
    TimeIsUp(String),
    /// A row that was refused must not be taken for one that only the destination has.
    #[error(
        "all rows were exported again, but some of them were refused (`lockstep quarantine list`); what ClickHouse alone has of \
         {of} is not removed before these rows are mended, or dropped there"
    )]
    RowsRefused {
        /// The tenants of whom nothing was removed.
        of: &'static str,
    },
    /// Rows of these mappings could not be searched (LS-0504).
    #[error(
        "rows that are in ClickHouse alone are not removed before these mappings are filled, or fit their tables: {0}"
    )]
    NotFilled(String),
    /// Tables of a tenant's that do not fit.
    #[error("these mappings are stopped, as their tables there do not fit: {0}; see `lockstep destination show`")]
    Stopped(String),
}

/// Why an operation failed; its text says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The source database.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// ClickHouse.
    #[error("{0}")]
    Destination(#[from] DestinationError),
    /// It ended before it was done.
    #[error("{0}")]
    Unfinished(#[from] Unfinished),
    /// The source does not fit the definitions.
    #[error("LS-0015: the source database does not fit the definitions; nothing was changed:{}", list(.0))]
    Misfits(Vec<Misfit>),
    /// What is in ClickHouse does not fit.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// `--standalone` on tables of somebody else.
    #[error(
        "LS-0018: this database already has a table \"Tenancy\" that Lockstep did not make; nothing was changed. Leave \
         out --standalone to attach to it, or give an empty database."
    )]
    NotEmpty,
    /// No such tenancy.
    #[error("LS-0019: there is no tenancy {0} in the source; check the id (\"Tenancy\".\"id\")")]
    UnknownTenancy(lockstep_core::TenancyId),
    /// No such mapping.
    #[error("LS-0040: there is no mapping {name:?}; those that there are: {known}")]
    UnknownMapping {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No such event.
    #[error(
        "LS-0517: there is no event {0}: events are kept for 30 days, and 10,000 at most; see `lockstep events list`"
    )]
    UnknownEvent(i64),
    /// No such sink.
    #[error("LS-0518: nobody of the name {name:?} is told of events; those that are: {known}")]
    UnknownSink {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// Nobody is told.
    #[error(
        "LS-0519: nobody is told of events: set LOCKSTEP_EVENTS_TO or LOCKSTEP_EVENTS_WEBHOOKS for the sequencers, and see \
         that one of them leads"
    )]
    NoSink,
    /// No such table, or more than one.
    #[error("LS-0043: a definition cannot be written of the table {name:?}: {why}")]
    NoSuchTable {
        /// As it was given.
        name: String,
        /// Why not.
        why: String,
    },
    /// No table whose rows can be the tenants.
    #[error("LS-0043: {name:?} cannot be the table of the tenants: {why}")]
    NoTenantsTable {
        /// As it was given.
        name: String,
        /// Why not.
        why: String,
    },
    /// No column that can hold the tenant's id.
    #[error("LS-0044: no table has a column {name:?} of type uuid, which was to hold the tenant's id; {known}")]
    NoTenantColumn {
        /// As it was given.
        name: String,
        /// Columns of that type, in words.
        known: String,
    },
    /// Somebody has to decide more than can be known.
    #[error("LS-0044: a definition cannot be written of the table {table:?}: {why}")]
    NoDraft {
        /// As it was given.
        table: String,
        /// Why not.
        why: DraftError,
    },
    /// A definition, a configuration file or a support bundle that cannot be written.
    #[error("LS-0045: {} cannot be written: {why}", file.display())]
    File {
        /// Where to.
        file: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// What was given is no key of the mapping.
    #[error(
        "LS-0046: what --key gives is no key of {mapping}: {why}. Write {syntax}, or the values alone in this order; a text with \
         a comma in it is a JSON string"
    )]
    NoKey {
        /// Of which mapping.
        mapping: String,
        /// Why not, without a value.
        why: KeyProblem,
        /// How it is written.
        syntax: String,
    },
    /// Definitions that do not hold together.
    #[error(transparent)]
    Definitions(#[from] DefinitionErrors),
    /// No such destination.
    #[error(
        "LS-0041: there is no destination {0:?}; there is {DESTINATION}, and `lockstep destination list` shows the ids of \
         tenants'"
    )]
    UnknownDestination(String),
    /// ClickHouse has rows or cursors with numbers that the source never gave out.
    #[error("LS-0042: {0}. Nothing was changed; run `lockstep rewind` first")]
    SourceWentBack(WentBack),
    /// Lockstep's own tables are not there yet.
    #[error("LS-0023: the source database lacks Lockstep's own tables; run `lockstep migrate` first")]
    NotMigrated,
    /// What is to be erased exists.
    #[error(
        "LS-0050: tenancy {0} exists in the source, so its rows stay; delete it there, or give --and-pause to ship it no \
         more and erase what was shipped"
    )]
    StillExists(lockstep_core::TenancyId),
    /// Nobody knows where it was.
    #[error(
        "LS-0051: nothing is known of tenancy {0}; check the id, or say with --project and --branch where its rows are"
    )]
    PlaceUnknown(lockstep_core::TenancyId),
    /// It is back.
    #[error("LS-0052: tenancy {0} exists in the source again, or was resumed; what was left of it stays")]
    CameBack(lockstep_core::TenancyId),
    /// No such setting, or no such value.
    #[error(
        "LS-0053: {name} cannot be set to {value}; `lockstep settings` names what can be set, a value is a duration such \
         as '10 minutes' (late_write_limit: 1 second to 1 day)"
    )]
    SettingRefused {
        /// As it was given.
        name: String,
        /// As it was given.
        value: String,
    },
    /// A key or a certificate that is none.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file with a key or a certificate.
    #[error("LS-0047: {} cannot be read: {why}", file.display())]
    CertificateFile {
        /// Which.
        file: PathBuf,
        /// Why, as the system says it.
        why: String,
    },
    /// A file that holds no password.
    #[error("LS-0054: {} cannot be used as a password's file: {why}", file.display())]
    PasswordFile {
        /// Which file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The user's name is somebody else's.
    #[error(
        "LS-0055: ClickHouse has a user {0} already, which is not that of this tenancy; give another name with --user"
    )]
    UserTaken(UserName),
    /// A tenancy has one user.
    #[error(
        "LS-0056: tenancy {tenancy} has the user {user} already; give that name with --user to make it anew, or run \
         `lockstep access revoke --tenant {tenancy}` first"
    )]
    HasAnotherUser {
        /// Whose user.
        tenancy: lockstep_core::TenancyId,
        /// Its name.
        user: String,
    },
    /// Nothing can say which rows a user may read.
    #[error(
        "LS-0057: ClickHouse takes no settings that begin with SQL_, which say whose rows a user reads; nothing was \
         changed. Add <custom_settings_prefixes>SQL_</custom_settings_prefixes> to the server's configuration"
    )]
    NoCustomSettings,
    /// Users XML cannot name the database.
    #[error(
        "LS-0058: this ClickHouse manages access in files, which cannot name the database {0:?}; set \
         LOCKSTEP_CLICKHOUSE_VIEW_DATABASE to a name of A-Z, a-z, 0-9, _ and - that begins with a letter or _"
    )]
    NotForFiles(String),
    /// What is stored cannot be decrypted.
    #[error("{0}")]
    Sealed(#[from] OpenError),
    /// Nothing can be encrypted.
    #[error("{0}")]
    NoRandomness(#[from] NoRandomness),
    /// A connection string that is none, or asks for too much.
    #[error("LS-0223: {0}")]
    Connection(#[from] ConnectionError),
    /// Nothing encrypts what is stored.
    #[error(
        "LS-0224: LOCKSTEP_SECRET_KEY_FILE is not set, and tenants' connection strings are stored encrypted; make a file \
         with `(umask 077; echo \"2026-11:$(openssl rand -base64 32)\" > FILE)` and give it to this command and to workers"
    )]
    NoKeyFile,
    /// A key file that cannot be used.
    #[error("LS-0225: LOCKSTEP_SECRET_KEY_FILE: {0}")]
    KeyFile(#[from] KeyFileError),
    /// Two destinations in one database.
    #[error("LS-0226: this database is the destination {0} already; a database holds the rows of one tenancy")]
    DatabaseTaken(uuid::Uuid),
    /// Connections to tenants' databases cannot be set up.
    #[error("LS-0227: connections to tenants' databases cannot be set up: {0}")]
    TenantNetwork(String),
    /// Where the connection string was to come from.
    #[error("LS-0228: there is no connection string: {0}")]
    NoConnectionString(String),
    /// Nobody has said what becomes of the tables.
    #[error("LS-0229: say what becomes of the tables in that database: --drop-tables or --keep-tables")]
    TablesUndecided,
    /// A destination holds one tenancy.
    #[error("LS-0230: the destination {destination} is not one of tenancy {tenancy}; leave out --tenant")]
    OfAnotherTenancy {
        /// Which destination.
        destination: uuid::Uuid,
        /// What was named.
        tenancy: lockstep_core::TenancyId,
    },
    /// Somebody else is at it.
    #[error("LS-0231: the destination {0} is changed again and again meanwhile; run this once more")]
    KeepsChanging(uuid::Uuid),
}

/// Of a statement on Lockstep's own tables.
impl From<tokio_postgres::Error> for OperationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::unless_migrated(error.into())
    }
}

impl OperationError {
    /// An error of the source, unless Lockstep's own tables are missing there.
    pub(crate) fn unless_migrated(error: SourceError) -> Self {
        let is_missing = error.is_unprepared() || error.kind() == Some(SqlStateKind::Missing);
        if is_missing { Self::NotMigrated } else { Self::Source(error) }
    }

    pub(crate) fn unknown_mapping(name: &str, mappings: &MappingSet) -> Self {
        let known: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        Self::UnknownMapping { name: name.to_owned(), known: known.join(", ") }
    }

    /// The exit code of a program that ends with this.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Source(error) if error.is_configuration() => exit::CONFIGURATION,
            Self::Destination(error) | Self::Provision(ProvisionError::Destination(error))
                if matches!(error.failure(), Failure::Outdated | Failure::Constrained) =>
            {
                exit::CONFIGURATION
            }
            Self::Misfits(_)
            | Self::Provision(
                ProvisionError::OtherShape(_) | ProvisionError::NamesTaken(_) | ProvisionError::NoPlaceBeside(_),
            )
            | Self::NotEmpty
            | Self::UnknownTenancy(_)
            | Self::UnknownMapping { .. }
            | Self::UnknownEvent(_)
            | Self::UnknownSink { .. }
            | Self::NoSink
            | Self::NoSuchTable { .. }
            | Self::NoTenantsTable { .. }
            | Self::NoTenantColumn { .. }
            | Self::NoDraft { .. }
            | Self::File { .. }
            | Self::NoKey { .. }
            | Self::Definitions(_)
            | Self::PlaceUnknown(_)
            | Self::SettingRefused { .. }
            | Self::PasswordFile { .. }
            | Self::CertificateFile { .. }
            | Self::Certificate(CertificateError::SigningKey | CertificateError::PublicKey)
            | Self::UserTaken(_)
            | Self::HasAnotherUser { .. }
            | Self::NoCustomSettings
            | Self::NotForFiles(_)
            | Self::Connection(_)
            | Self::NoKeyFile
            | Self::KeyFile(_)
            | Self::Sealed(_)
            | Self::DatabaseTaken(_)
            | Self::TenantNetwork(_)
            | Self::NoConnectionString(_)
            | Self::TablesUndecided
            | Self::OfAnotherTenancy { .. }
            | Self::UnknownDestination(_) => exit::CONFIGURATION,
            Self::Unfinished(_) => exit::IN_FLIGHT,
            Self::Source(_)
            | Self::Destination(_)
            | Self::Provision(ProvisionError::Destination(_))
            | Self::SourceWentBack(_)
            | Self::StillExists(_)
            | Self::CameBack(_)
            | Self::NoRandomness(_)
            | Self::Certificate(CertificateError::Malformed | CertificateError::Signature)
            | Self::KeepsChanging(_)
            | Self::NotMigrated => exit::DIFFERENT,
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  - {item}")).collect()
}
