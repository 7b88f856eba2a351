//! The reading side.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use lockstep_core::failpoint;
use lockstep_mappings::codec::{CodecError, CopyReader};
use lockstep_schema::SourceError;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::gate::Gate;
use super::write::Pieces;
use crate::error::ShipError;

/// A read that yields no row for this long has failed. Finding the first row of a page walks indexes only.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a read ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copied {
    /// With its last row.
    Whole,
    /// Before, because it had too many bytes. The statement goes on until it is cancelled.
    Stopped,
}

/// Runs a `COPY … TO STDOUT`, lets each row through `gate`, and hands them on as they come, until there are no more or
/// `pieces` has taken `most_bytes`.
///
/// # Errors
/// Whatever reading, checking or handing on fails with; what was handed on until then must not be kept.
pub(crate) async fn copy_rows<G: Gate>(
    client: &Client,
    sql: &str,
    gate: &mut G,
    pieces: &mut Pieces,
    most_bytes: u64,
) -> Result<Copied, ShipError> {
    failpoint!("worker::copy_read::before", return Err(SourceError::Timeout(IDLE_TIMEOUT).into()));
    let opened = timeout(IDLE_TIMEOUT, client.copy_out(sql)).await.map_err(|_| SourceError::Timeout(IDLE_TIMEOUT))?;
    let mut stream = pin!(opened?);
    let mut copy = CopyReader::default();
    while let Some(message) = next_message(stream.as_mut()).await? {
        copy.rows(&message, |fields| {
            if gate.admit(fields, pieces.buffer())? {
                pieces.count_row();
            }
            Ok::<_, ShipError>(())
        })?;
        if pieces.is_full() {
            gate.vouch().await?;
            pieces.send().await?;
            if pieces.sent_bytes() >= most_bytes {
                return Ok(Copied::Stopped);
            }
        }
    }
    if !copy.is_complete() {
        return Err(CodecError::Stream("it ends without a trailer").into());
    }
    gate.vouch().await?;
    failpoint!("worker::copy_read::after", return Err(SourceError::Timeout(IDLE_TIMEOUT).into()));
    Ok(Copied::Whole)
}

/// The next message, with a timer only where there is something to wait for: rows come by the hundred thousand.
async fn next_message<S>(mut stream: std::pin::Pin<&mut S>) -> Result<Option<Bytes>, ShipError>
where
    S: Stream<Item = Result<Bytes, tokio_postgres::Error>>,
{
    let message = match stream.next().now_or_never() {
        Some(message) => message,
        None => timeout(IDLE_TIMEOUT, stream.next()).await.map_err(|_| SourceError::Timeout(IDLE_TIMEOUT))?,
    };
    Ok(message.transpose()?)
}
