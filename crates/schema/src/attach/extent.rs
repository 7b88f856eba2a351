//! How much of Lockstep's own the source database holds, for whoever takes it out again.

use tokio_postgres::Client;

use crate::connect::{Session, Source};
use crate::error::SourceError;

/// What schema `lockstep` holds. Nothing where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Tables, with their partitions.
    pub tables: i64,
    /// Of all tables and indexes, as Postgres writes it: `14 MB`.
    pub size: String,
    /// Receipts of erasures.
    pub receipts: i64,
    /// Tenants' own databases, which are named there alone.
    pub tenant_databases: i64,
}

const TABLES: &str = "SELECT count(*), pg_size_pretty(coalesce(sum(pg_total_relation_size(oid)), 0)) FROM pg_catalog.pg_class \
     WHERE relnamespace = to_regnamespace('lockstep') AND relkind IN ('r', 'p')";

/// Counts it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn extent(source: &Source) -> Result<Extent, SourceError> {
    let client = source.connect(Session::Control).await?;
    let tables = client.query_one(TABLES, &[]).await?;
    Ok(Extent {
        tables: tables.get(0),
        size: tables.get(1),
        receipts: rows(&client, "lockstep.erasure").await?,
        tenant_databases: rows(&client, "lockstep.tenant_destination").await?,
    })
}

/// The rows of a table, which may not be there yet.
async fn rows(client: &Client, table: &str) -> Result<i64, SourceError> {
    let is_there: bool = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?.get(0);
    if !is_there {
        return Ok(0);
    }
    Ok(client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0))
}
