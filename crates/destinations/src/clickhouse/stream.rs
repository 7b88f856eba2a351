//! Answers as they arrive.

use std::time::Duration;

use bytes::Bytes;
use clickhouse::Client;
use clickhouse::query::BytesCursor;
use futures_util::{Stream, TryStreamExt, stream};

use super::{error, failure};
use crate::error::{DestinationError, Failure};

/// Opens the answer of a query that reads. ClickHouse puts an exception that comes after the first rows behind them: the
/// crate finds it there by the tag that the response's header announces. Should the tag be torn apart by chunks, the
/// missing end of the HTTP body is an error all the same (seen with 26.7, with and without LZ4).
pub(super) fn open(client: &Client, sql: &str, default_format: &str) -> Result<BytesCursor, DestinationError> {
    client
        .query_raw(sql)
        // 2: reads only, but may change other settings. Only such queries are cancelled when their reader goes away.
        .with_setting("readonly", "2")
        .with_setting("cancel_http_readonly_queries_on_client_close", "1")
        .fetch_bytes(default_format)
        .map_err(|error| failure::from_client(&error))
}

pub(super) fn read(
    client: &Client,
    sql: &str,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send + use<> {
    let opened = open(client, sql, "RowBinary");
    stream::once(async move { opened }).map_ok(move |cursor| chunks(cursor, idle)).try_flatten()
}

fn chunks(cursor: BytesCursor, idle: Duration) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send {
    stream::try_unfold(cursor, move |mut cursor| async move {
        match tokio::time::timeout(idle, cursor.next()).await {
            Ok(Ok(chunk)) => Ok(chunk.map(|chunk| (chunk, cursor))),
            Ok(Err(found)) => Err(failure::from_client(&found)),
            Err(_) => Err(error(Failure::Unavailable, format!("a stream without a byte for {} ms", idle.as_millis()))),
        }
    })
}
