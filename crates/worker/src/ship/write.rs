//! The writing side, and the channel to it.

use bytes::Bytes;
use lockstep_core::failpoint;
use lockstep_destinations::{Destination, DestinationError, Failure, RowSink};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::ShipError;

/// Chunks between the two sides: enough for neither to wait for the other's every hiccup.
const CHUNKS_BETWEEN: usize = 3;

/// Rows are appended to the buffer until it is this much larger than a chunk without another allocation.
const SLACK_BYTES: usize = 16 * 1024;

/// What travels to the writing side.
enum Piece {
    Rows {
        bytes: Bytes,
        rows: u64,
    },
    /// All rows were sent: only now anything may be kept.
    End,
}

/// Gathers rows into chunks and sends them to the writing side.
pub(crate) struct Pieces {
    chunk: Vec<u8>,
    chunk_rows: u64,
    chunk_bytes: usize,
    sent_bytes: u64,
    sender: mpsc::Sender<Piece>,
}

/// The writing side's end of the channel.
pub(crate) struct Incoming(mpsc::Receiver<Piece>);

/// Both ends of a new channel.
pub(crate) fn pieces(chunk_bytes: usize) -> (Pieces, Incoming) {
    let (sender, receiver) = mpsc::channel(CHUNKS_BETWEEN);
    (Pieces { chunk: Vec::new(), chunk_rows: 0, chunk_bytes, sent_bytes: 0, sender }, Incoming(receiver))
}

impl Pieces {
    /// Where encoded rows are appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.chunk.capacity() == 0 {
            self.chunk.reserve_exact(self.chunk_bytes + SLACK_BYTES);
        }
        &mut self.chunk
    }

    pub(crate) const fn count_row(&mut self) {
        self.chunk_rows += 1;
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.chunk.len() >= self.chunk_bytes
    }

    /// Sends what is gathered, waiting while the writing side is busy.
    pub(crate) async fn send(&mut self) -> Result<(), ShipError> {
        if self.chunk_rows == 0 {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.chunk_rows);
        let bytes = Bytes::from(std::mem::take(&mut self.chunk));
        self.sent_bytes += bytes.len() as u64;
        self.sender.send(Piece::Rows { bytes, rows }).await.map_err(|_| ShipError::WriterGone)
    }

    /// What was sent so far.
    pub(crate) const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Says that all rows were sent. Dropped without it, nothing may be kept.
    pub(crate) async fn end(mut self) -> Result<(), ShipError> {
        self.send().await?;
        self.sender.send(Piece::End).await.map_err(|_| ShipError::WriterGone)
    }
}

/// What was written, durably.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) inserts: u64,
    /// False: the reading side gave up, and so did this.
    pub(crate) complete: bool,
}

/// What one insert takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InsertLimits {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// An insert under way, and what it was given so far.
struct Open<S> {
    sink: S,
    rows: u64,
    bytes: u64,
}

/// Writes everything that comes. The first row begins the insert, so where there is none there is no insert. One insert
/// takes up to `limits`; while the destination ends it, the next is under way.
///
/// # Errors
/// The destination's.
pub(crate) async fn write<D: Destination + 'static>(
    destination: D,
    statement: String,
    mut incoming: Incoming,
    limits: InsertLimits,
) -> Result<Written, DestinationError> {
    let mut written = Written::default();
    let mut open: Option<Open<D::Sink>> = None;
    let mut ending = JoinSet::new();
    while let Some(piece) = incoming.0.recv().await {
        let Piece::Rows { bytes, rows } = piece else {
            written.complete = true;
            break;
        };
        let size = bytes.len() as u64;
        written.bytes += size;
        written.rows += rows;
        let mut insert = match open.take() {
            Some(insert) => insert,
            None => {
                failpoint!("worker::insert::before", return Err(DestinationError::unanswered(destination.id())));
                written.inserts += 1;
                Open { sink: destination.begin_write(&statement).await?, rows: 0, bytes: 0 }
            }
        };
        insert.sink.send(bytes).await?;
        insert.rows += rows;
        insert.bytes += size;
        if insert.rows < limits.rows && insert.bytes < limits.bytes {
            open = Some(insert);
        } else {
            // One at a time: the destination holds an insert's rows in memory while it makes a part of them.
            join(&mut ending).await?;
            ending.spawn(insert.sink.end());
        }
    }
    if written.complete {
        if let Some(insert) = open {
            insert.sink.end().await?;
            failpoint!("worker::insert::after", return Err(DestinationError::unanswered(destination.id())));
        }
        join(&mut ending).await?;
    }
    Ok(written)
}

async fn join(ending: &mut JoinSet<Result<(), DestinationError>>) -> Result<(), DestinationError> {
    while let Some(ended) = ending.join_next().await {
        match ended {
            Ok(ended) => ended?,
            Err(joined) => match joined.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => {
                    return Err(DestinationError::new(Failure::Unavailable, "insert", cancelled.to_string()));
                }
            },
        }
    }
    Ok(())
}
