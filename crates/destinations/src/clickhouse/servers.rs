//! The servers behind the address, and when each was started.

use lockstep_mappings::clickhouse::each_server;

use super::ClickHouse;
use crate::destination::ServerStart;
use crate::error::DestinationError;

/// Asks every server of the cluster, or the one that there is. Behind one address there may be several: then whoever answers is
/// told, and the others another time.
pub(super) async fn read(server: &ClickHouse) -> Result<Vec<ServerStart>, DestinationError> {
    let sql = format!(
        "SELECT hostName() || ':' || toString(tcpPort()) || '/' || toString(serverUUID()), toUnixTimestamp64Milli(now64(3)) - uptime() * 1000 FROM {}",
        each_server("one", &server.databases)
    );
    let rows: Vec<(String, i64)> = server.fetch_rows(&sql).await?;
    Ok(rows.into_iter().map(|(name, started_ms)| ServerStart { name, started_ms }).collect())
}
