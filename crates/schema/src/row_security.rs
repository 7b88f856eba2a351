//! Tables whose policies would filter what we read.
//!
//! Our sessions set `row_security = off`, so that such a read fails instead of giving fewer rows (VER-1). This says it
//! before anything is read, with the tables' names.

use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_mappings::postgres::facts::tables_needed;
use lockstep_mappings::{MappingSet, SourceTable};
use tokio_postgres::Client;

use crate::connect::{Session, Source};
use crate::error::SourceError;

/// Those of the tables on which policies apply to the client's current role: row level security is on, and the role
/// neither has BYPASSRLS, nor is a superuser, nor owns the table without FORCE. In the order in which they were given;
/// a table that does not exist is left out.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn filtered(client: &Client, tables: &[&SourceTable]) -> Result<Vec<SourceTable>, SourceError> {
    let (schemas, names): (Vec<_>, Vec<_>) =
        tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    let rows = client.query(ACTIVE, &[&schemas, &names]).await?;
    Ok(rows.iter().map(|row| SourceTable { schema: row.get(0), name: row.get(1) }).collect())
}

/// Refuses to go on where [`filtered`] finds a table.
///
/// # Errors
/// [`SourceError::RowSecurity`] with the tables, or when Postgres cannot be asked.
pub async fn refuse(client: &Client, tables: &[&SourceTable]) -> Result<(), SourceError> {
    let filtered = filtered(client, tables).await?;
    if filtered.is_empty() { Ok(()) } else { Err(SourceError::RowSecurity(filtered)) }
}

/// As [`refuse`], over all tables that these definitions need, for a program that starts: a Postgres that is away is waited
/// for, for as long as it takes; `health` says so meanwhile. Connecting finds a pooler in between, too.
///
/// # Errors
/// Only what waiting does not mend: see [`SourceError::is_configuration`].
pub async fn refuse_at_start(source: &Source, set: &MappingSet, health: &Health) -> Result<(), SourceError> {
    let tables = tables_needed(set);
    let tables: Vec<_> = tables.iter().collect();
    let look = async || refuse(&source.connect(Session::Control).await?, &tables).await;
    let mut backoff = Backoff::for_connections();
    loop {
        match look().await {
            Err(error) if !error.is_configuration() => {
                let (wait, error) = (backoff.next_wait(), health.tell("source", error.to_string()));
                tracing::warn!(error, wait_ms = wait.as_millis(), "Postgres cannot be used, trying again");
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
}

/// Postgres's own judgement of which tables are filtered for the current role. `row_security` of the session does not
/// count in it.
const ACTIVE: &str = "SELECT given.schema, given.name
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (schema, name, place)
JOIN pg_catalog.pg_namespace n ON n.nspname = given.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = given.name
WHERE pg_catalog.row_security_active(c.oid)
ORDER BY given.place";
