//! The servers behind the address, and when each was started.

use lockstep_mappings::clickhouse::{cursor_table_name, each_server, literal, local_name};

use super::ClickHouse;
use crate::destination::ServerStart;
use crate::error::DestinationError;

/// Asks every server of the cluster, or the one that there is. Behind one address there may be several: then whoever answers is
/// told, and the others another time. None where inserts are on a disk, or in an object store, before they are acknowledged.
///
/// A server's own id lies beside its data: it is the same when they are found by a machine of another name.
pub(super) async fn read(server: &ClickHouse) -> Result<Vec<ServerStart>, DestinationError> {
    let databases = &server.databases;
    let writes_through = format!(
        "SELECT count() FROM system.tables WHERE database = {} AND name = {} AND (startsWith(engine, 'Shared') OR position(engine_full, 'fsync_after_insert = 1') > 0)",
        literal(&databases.raw),
        literal(&local_name(cursor_table_name(), databases)),
    );
    if server.fetch_one::<u64>(&writes_through).await? > 0 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT toString(serverUUID()) || ':' || toString(tcpPort()), toUnixTimestamp64Milli(now64(3)) - uptime() * 1000 FROM {}",
        each_server("one", databases)
    );
    let rows: Vec<(String, i64)> = server.fetch_rows(&sql).await?;
    Ok(rows.into_iter().map(|(name, started_ms)| ServerStart { name, started_ms }).collect())
}
