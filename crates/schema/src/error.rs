//! What can go wrong with the source database, and whether trying again can help.

use std::time::Duration;

use diesel::result::DatabaseErrorKind;
use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::CONTROL_SCHEMA;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};

use crate::connect::PoolerSign;
use crate::sqlstate::{SqlStateKind, remedy_of, without_values};

/// An error of the source database. Its text never holds parameters or rows.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be used.
    #[error("LS-0010: the URL of Postgres cannot be used: {0}; write postgres://user:password@host:5432/database")]
    Url(String),
    /// TLS could not be set up.
    #[error("LS-0011: TLS to Postgres cannot be set up: {0}; check LOCKSTEP_TLS_CA_FILE and sslrootcert")]
    Tls(String),
    /// Postgres answered with an error, or could not be reached.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The same through Diesel.
    #[error("{}", describe_diesel(.0))]
    Diesel(#[from] diesel::result::Error),
    /// A connection through Diesel could not be opened.
    #[error("LS-0012: Postgres: a connection could not be opened")]
    Connection(#[from] diesel::ConnectionError),
    /// A migration failed.
    #[error("LS-0013: a migration failed: {0}")]
    Migration(String),
    /// A table was in use for too long.
    #[error(
        "LS-0026: \"{what}\" needs a table for a moment, and did not get it: it is held by {}. What was done before stays; have \
         that end, then run this again",
        if .holders.is_empty() { "a transaction that had just ended".to_owned() } else { .holders.join("; ") }
    )]
    LockHeld {
        /// What was to be done.
        what: String,
        /// Who held it at the last attempt.
        holders: Vec<String>,
    },
    /// A pooler in transaction mode stands between us and Postgres.
    #[error(
        "LS-0030: what answers at the URL of Postgres is a pooler that gives each transaction another session ({0}); \
         give the direct URL of Postgres"
    )]
    Pooler(PoolerSign),
    /// Policies filter what the role reads.
    #[error(
        "LS-0031: row level security hides rows of {} from the role that Lockstep connects as; let a superuser run \
         ALTER ROLE … BYPASSRLS for it",
        listed(.0)
    )]
    RowSecurity(Vec<SourceTable>),
    /// Reading there would move cursors past rows that the source holds and it does not.
    #[error(
        "LS-0432: LOCKSTEP_SOURCE_READ_URL names a database that is no streaming replica of LOCKSTEP_SOURCE_URL; correct it or unset it"
    )]
    NotAReplica,
    /// Nothing came for too long.
    #[error("LS-0014: Postgres did not answer within {0:?}")]
    Timeout(Duration),
    /// An answer that is none.
    #[error("LS-0024: Postgres gave an answer that was not expected: {0}")]
    Unexpected(String),
}

impl SourceError {
    /// Whether nothing but another setting or another right can help: a program that starts with it ends with 78
    /// ([`lockstep_core::exit::CONFIGURATION`]), and one that runs does not try again.
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Tls(_) | Self::Pooler(_) | Self::RowSecurity(_))
    }

    /// Whether schema `lockstep` or a table of it is not there: `lockstep migrate` has not run, or not in this version, or all was taken
    /// out meanwhile.
    pub fn is_unprepared(&self) -> bool {
        match self {
            Self::Postgres(error) => error.as_db_error().is_some_and(lacks_own_tables),
            Self::Diesel(error) => lacks_own_tables_by_diesel(error),
            _ => false,
        }
    }

    /// What it speaks of, where Postgres said so; tables are [`SqlStateKind::Missing`] where they are Lockstep's own. Without a code it
    /// is no answer of Postgres: the connection broke, or none came.
    pub fn kind(&self) -> Option<SqlStateKind> {
        match self {
            Self::Postgres(error) => {
                let kind = error.code().map_or(SqlStateKind::Server, |state| SqlStateKind::of(state.code()));
                // A function raises what it raises for a row, whatever code it chooses.
                let is_of_row = error.as_db_error().is_some_and(is_raised) && !kind.is_passing();
                Some(match kind {
                    _ if is_of_row => SqlStateKind::Outcome,
                    SqlStateKind::Missing if error.as_db_error().is_some_and(is_anothers) => SqlStateKind::Statement,
                    kind => kind,
                })
            }
            Self::Timeout(_) => Some(SqlStateKind::Server),
            _ => None,
        }
    }
}

/// What `asking` gives, or [`SourceError::Timeout`] where that takes longer than `limit`.
///
/// # Errors
/// Those of `asking`, and the timeout.
pub async fn within<T, E: From<SourceError>>(
    limit: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(limit, asking).await.unwrap_or_else(|_| Err(SourceError::Timeout(limit).into()))
}

fn listed(tables: &[SourceTable]) -> String {
    tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect::<Vec<_>>().join(", ")
}

/// The server's own message without the detail, which can quote rows; and not even that where it can quote values.
fn describe(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return format!("LS-0012: Postgres: {}", with_causes(error)) };
    if lacks_own_tables(db) {
        return unprepared(db.message());
    }
    let sqlstate = db.code().code();
    let (code, remedy) = remedy_of(sqlstate).unzip();
    let message = without_values(sqlstate, is_raised(db), db.position().is_some()).unwrap_or(db.message());
    let remedy = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
    format!("{}: Postgres: {message} (SQLSTATE {sqlstate}){remedy}", code.unwrap_or("LS-0012"))
}

/// Whether a function in PL/pgSQL said it, and not the server: by the server's routine.
fn is_raised(error: &DbError) -> bool {
    error.routine() == Some("exec_stmt_raise")
}

/// Whether the table or schema that is not there is not Lockstep's own. A column is named without its table's schema.
fn is_anothers(error: &DbError) -> bool {
    *error.code() != SqlState::UNDEFINED_COLUMN && !names_own_schema(error.message())
}

/// Whether a schema or table is not there that the statement itself names, and that is Lockstep's own. What a value names has no position.
fn lacks_own_tables(error: &DbError) -> bool {
    let is_missing = match *error.code() {
        SqlState::INVALID_SCHEMA_NAME => true,
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_FUNCTION => error.position().is_some(),
        _ => false,
    };
    is_missing && !is_raised(error) && names_own_schema(error.message())
}

/// Whether a message names the schema itself, and not another whose name begins or ends so: in whatever language and quotes.
fn names_own_schema(message: &str) -> bool {
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$' || letter == '-';
    message.match_indices(CONTROL_SCHEMA).any(|(at, name)| {
        let (before, behind) = (&message[..at], &message[at + name.len()..]);
        !before.ends_with(|letter: char| is_of_name(letter) || letter == '.') && !behind.starts_with(is_of_name)
    })
}

/// Diesel is used for Lockstep's own tables alone, and does not tell the state.
fn lacks_own_tables_by_diesel(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(DatabaseErrorKind::Unknown, said) if said.message().ends_with(" does not exist"))
}

fn unprepared(message: &str) -> String {
    format!("LS-0023: the source database lacks Lockstep's own tables ({message}); run `lockstep migrate` first")
}

/// An error that no server has worded.
fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // Some layers repeat their cause in their own text.
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What went wrong with a statement on Lockstep's own tables. The message is kept up to where it may quote what was written.
fn describe_diesel(error: &diesel::result::Error) -> String {
    let what = match error {
        diesel::result::Error::DatabaseError(_, said) if lacks_own_tables_by_diesel(error) => {
            return unprepared(said.message());
        }
        diesel::result::Error::DatabaseError(kind, said) => {
            let plain = said.message().split(['"', '\'', ':']).next().unwrap_or_default();
            // Diesel does not tell the state; that there is one tells an answer of Postgres from a broken connection.
            let state = if matches!(kind, DatabaseErrorKind::ClosedConnection) { "" } else { "SQLSTATE of " };
            format!("{} ({state}{kind:?})", plain.trim_end())
        }
        other => other.to_string(),
    };
    format!("LS-0012: Postgres: {what}")
}
