//! How far each tenant and mapping has come, kept beside the data (CUR-1).

use std::time::SystemTime;

use bytes::Bytes;
use clickhouse::Row;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use serde::Deserialize;
use uuid::Uuid;

use super::{ClickHouse, failure, storage};
use crate::destination::{CursorAt, Cursors, Selection};
use crate::error::DestinationError;

/// Tenants in one question: 4 MB of text. More are asked for in several.
const MAX_TENANCIES_PER_QUESTION: usize = 100_000;

#[derive(Row, Deserialize)]
struct CursorRow<'a> {
    #[serde(with = "clickhouse::serde::uuid")]
    tenancy_id: Uuid,
    mapping_name: &'a str,
    last: i64,
}

/// The cursors of these tenants and mappings. One question to the server for up to 100,000 tenants.
///
/// # Errors
/// What the server says; nothing is answered in part.
pub async fn read(
    clickhouse: &ClickHouse,
    raw_database: &str,
    tenancies: Selection<'_, TenancyId>,
    mappings: Selection<'_, MappingName>,
) -> Result<Cursors, DestinationError> {
    let mut cursors = Cursors::new();
    if matches!(mappings, Selection::These([])) {
        return Ok(cursors);
    }
    match tenancies {
        Selection::All => read_some(clickhouse, raw_database, tenancies, mappings, &mut cursors).await?,
        Selection::These(ids) => {
            for some in ids.chunks(MAX_TENANCIES_PER_QUESTION) {
                read_some(clickhouse, raw_database, Selection::These(some), mappings, &mut cursors).await?;
            }
        }
    }
    Ok(cursors)
}

async fn read_some(
    clickhouse: &ClickHouse,
    raw_database: &str,
    tenancies: Selection<'_, TenancyId>,
    mappings: Selection<'_, MappingName>,
    cursors: &mut Cursors,
) -> Result<(), DestinationError> {
    let sql = storage::read_cursors(raw_database, tenancies, mappings);
    clickhouse
        .within_statement_timeout(async {
            // The server parses 256 KiB of a statement unless told otherwise, which is 6,500 tenants.
            let size = sql.len() + 1024;
            let query = clickhouse.client.query_raw(&sql).with_setting("max_query_size", size.to_string());
            let mut rows = query.fetch::<CursorRow<'_>>().map_err(|error| failure::from_client(&error))?;
            while let Some(row) = rows.next().await.map_err(|error| failure::from_client(&error))? {
                // A name that is none of ours was left by another system in the same table.
                if let Ok(mapping) = row.mapping_name.parse() {
                    cursors.insert((TenancyId::new(row.tenancy_id), mapping), SequenceId::new(row.last));
                }
            }
            Ok(())
        })
        .await
}

/// Moves these cursors forward in one insert. One that stands further already stays there.
///
/// # Errors
/// When it is not certain that they were moved.
pub async fn advance(
    clickhouse: &ClickHouse,
    raw_database: &str,
    cursors: &[CursorAt],
) -> Result<(), DestinationError> {
    let mut insert = clickhouse.insert(&storage::write_cursors(raw_database));
    insert.send(Bytes::from(encode(cursors, now_ms()))).await?;
    insert.end().await
}

fn encode(cursors: &[CursorAt], updated_at_ms: i64) -> Vec<u8> {
    // 16 for the tenant, 1 for the length of the name, 8 for each number.
    let size = cursors.iter().map(|(_, mapping, _)| 33 + mapping.as_str().len()).sum();
    let mut rows = Vec::with_capacity(size);
    for (tenancy, mapping, sequence) in cursors {
        // RowBinary holds a UUID as two halves, each little-endian.
        let (high, low) = tenancy.as_uuid().as_u64_pair();
        rows.extend_from_slice(&high.to_le_bytes());
        rows.extend_from_slice(&low.to_le_bytes());
        // A length below 128 is one byte of its variable-length encoding; a name has at most 63.
        rows.extend(u8::try_from(mapping.as_str().len()));
        rows.extend_from_slice(mapping.as_str().as_bytes());
        rows.extend_from_slice(&sequence.get().to_le_bytes());
        rows.extend_from_slice(&updated_at_ms.to_le_bytes());
    }
    rows
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or_default()
}
