//! What can go wrong with the source database, and whether trying again can help.

use std::time::Duration;

use lockstep_mappings::SourceTable;
use tokio::time::timeout;

use crate::connect::PoolerSign;
use crate::sqlstate::{SqlStateKind, without_values};

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
    #[error("LS-0012: Postgres: {}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The same through Diesel.
    #[error("LS-0012: Postgres: {0}")]
    Diesel(#[from] diesel::result::Error),
    /// A connection through Diesel could not be opened.
    #[error("LS-0012: Postgres: {0}")]
    Connection(#[from] diesel::ConnectionError),
    /// A migration failed.
    #[error("LS-0013: a migration failed: {0}")]
    Migration(String),
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

    /// What it speaks of, where Postgres said so. Without a code it is no answer of Postgres: the connection broke, or none came.
    pub fn kind(&self) -> Option<SqlStateKind> {
        match self {
            Self::Postgres(error) => {
                Some(error.code().map_or(SqlStateKind::Server, |state| SqlStateKind::of(state.code())))
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
    match error.as_db_error() {
        Some(db) => {
            let sqlstate = db.code().code();
            format!("{} (SQLSTATE {sqlstate})", without_values(sqlstate).unwrap_or(db.message()))
        }
        None => {
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
    }
}
