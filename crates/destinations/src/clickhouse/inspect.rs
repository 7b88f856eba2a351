//! Looking at a server: is it there, which one is it, what do its tables look like.

use std::collections::BTreeMap;
use std::time::Duration;

use super::shape::{ColumnShape, TableShape};
use super::{ClickHouse, Timeouts, error, storage};
use crate::error::{DestinationError, Failure};

const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the server answers within 5 seconds and lets the user in.
///
/// # Errors
/// Why not.
pub async fn ping(clickhouse: &ClickHouse) -> Result<(), DestinationError> {
    let timeouts = Timeouts { statement: PING_TIMEOUT, ..clickhouse.timeouts() };
    clickhouse.clone().with_timeouts(timeouts).execute(storage::PING).await
}

/// The server's version, such as `26.7.2.1`.
///
/// # Errors
/// What the server says.
pub async fn server_version(clickhouse: &ClickHouse) -> Result<String, DestinationError> {
    Ok(clickhouse.fetch_text(storage::VERSION).await?.trim().to_owned())
}

/// Whether users, roles and row policies can be made by SQL here. Where they cannot (code 514 on trying), access is
/// managed by files. Changes nothing; whether this user may make them is another question, answered by trying.
///
/// # Errors
/// What the server says.
pub async fn can_manage_access(clickhouse: &ClickHouse) -> Result<bool, DestinationError> {
    let storages: Vec<(u64,)> = clickhouse.fetch_rows(storage::WRITABLE_ACCESS_STORAGES).await?;
    match storages.as_slice() {
        [(count,)] => Ok(*count > 0),
        _ => Err(error(Failure::Unexpected, "a count has not one row")),
    }
}

/// What a table looks like; `None` when there is none of that name, or none that this user may see.
///
/// # Errors
/// What the server says.
pub async fn table_shape(
    clickhouse: &ClickHouse,
    database: &str,
    table: &str,
) -> Result<Option<TableShape>, DestinationError> {
    Ok(table_shapes(clickhouse, database, &[table]).await?.remove(table))
}

/// What these tables look like, by name; those that do not exist are left out. Two questions to the server.
///
/// # Errors
/// What the server says.
pub async fn table_shapes(
    clickhouse: &ClickHouse,
    database: &str,
    tables: &[&str],
) -> Result<BTreeMap<String, TableShape>, DestinationError> {
    if tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found: Vec<(String, String, String, String)> =
        clickhouse.fetch_rows(&storage::tables(database, tables)).await?;
    let mut shapes: BTreeMap<_, _> = found
        .into_iter()
        .map(|(name, engine_full, partition_key, sorting_key)| {
            (name, TableShape { engine_full, partition_key, sorting_key, columns: Vec::new() })
        })
        .collect();
    let columns: Vec<(String, String, String, String)> =
        clickhouse.fetch_rows(&storage::columns(database, tables)).await?;
    for (table, name, column_type, default_expression) in columns {
        if let Some(shape) = shapes.get_mut(&table) {
            shape.columns.push(ColumnShape { name, column_type, default_expression });
        }
    }
    Ok(shapes)
}
