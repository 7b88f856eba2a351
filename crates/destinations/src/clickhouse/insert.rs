//! Inserts of encoded rows.

use std::time::Duration;

use bytes::Bytes;
use clickhouse::insert_formatted::InsertFormatted;
use lockstep_core::telemetry::{Origin, Span, TRACEPARENT};
use lockstep_mappings::clickhouse::write_until;
use uuid::Uuid;

use super::{ClickHouse, error, failure};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// An insert of at most this many rows, and at most [`ONE_PART_BYTES`], makes one part, all or nothing.
pub const ONE_PART_ROWS: u64 = 1 << 20;

/// An insert of at most this many bytes in the server's memory (about as many as in RowBinary), and at most
/// [`ONE_PART_ROWS`], makes one part, all or nothing. The server holds the rows about twice while it sorts them.
pub const ONE_PART_BYTES: u64 = 512 * 1024 * 1024;

/// By so much the server's deadline comes before the client's.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);
/// What the server is left at least, margin or not.
const LEAST_DEADLINE: Duration = Duration::from_secs(1);

/// An insert under way.
///
/// Within [`ONE_PART_ROWS`] and [`ONE_PART_BYTES`] it is atomic: dropped without [`Insert::end`], or failed, it leaves
/// nothing. Beyond them, parts that were complete by then stay behind. When `end` fails for want of an answer, the rows
/// may be there or not. All of that is harmless for rows that may be sent again (IDEM-1).
///
/// Within a [`WriteWindow`] it is refused at whatever step the window is found closed. The last step is the one that
/// counts: without its end the server keeps nothing of what it was sent. From its beginning the server has the window's
/// other half, by a deadline of its own, so that what it was given in time is not there late. The server looks at its own
/// clock too, when the insert begins: a machine that was restored from an image of its memory has no clock that knows.
///
/// The server ends an insert that sends nothing for 30 seconds (`http_receive_timeout`): begin it when rows are at hand.
#[must_use = "an insert that is dropped inserts nothing"]
pub struct Insert {
    server: ClickHouse,
    statement: String,
    /// Once the first chunk is there.
    inner: Option<InsertFormatted>,
    /// A chunk was lost: by an error, or by a `send` that was dropped before it was done. The crate forgets the first and
    /// does not see the second, and would end an insert with a hole in it as if nothing had happened.
    broken: bool,
    /// None of what is not a page.
    pub(super) span: Span,
}

impl Insert {
    pub(super) fn new(server: &ClickHouse, statement: &str) -> Self {
        Self {
            server: server.clone(),
            statement: statement.to_owned(),
            inner: None,
            broken: false,
            span: Span::default(),
        }
    }

    async fn begin(&self) -> Result<InsertFormatted, DestinationError> {
        let (timeouts, window) = (self.server.timeouts, self.server.window);
        let insert_end = window.map_or(timeouts.insert_end, |window| window.half().min(timeouts.insert_end));
        // The server's own deadline comes first, so that an insert that is too slow is known to have failed.
        let deadline = insert_end.saturating_sub(DEADLINE_MARGIN).max(insert_end.min(LEAST_DEADLINE));
        let pinned = self.server.connection.pinned(timeouts.insert_send).await?;
        // The server can go on with the trace in a log of its own.
        let kept = self.span.origin().filter(Origin::is_sampled);
        let traced = kept.map(|origin| pinned.writing.clone().with_header(TRACEPARENT, origin.traceparent()));
        let inner = traced
            .as_ref()
            .unwrap_or(&pinned.writing)
            .insert_formatted_with(&*self.statement)
            .with_timeouts(Some(timeouts.insert_send), Some(insert_end))
            .with_setting("max_execution_time", deadline.as_secs_f64().to_string())
            // `insert_deduplicate` is ignored by 26.x, where `deduplicate_insert` (unknown to older servers) stands above it:
            // a token of its own keeps every insert apart on all of them.
            .with_setting("insert_deduplication_token", Uuid::new_v4().to_string())
            // What the tables' constraint compares the server's clock with.
            .with_setting(
                "log_comment",
                write_until(window.map_or(i64::MAX, ends_by_ms), window.map(|window| window.id())),
            )
            // Several would make a part each.
            .with_setting("max_insert_threads", "1")
            .with_setting("max_insert_block_size", ONE_PART_ROWS.to_string())
            .with_setting("min_insert_block_size_rows", ONE_PART_ROWS.to_string())
            .with_setting("min_insert_block_size_bytes", ONE_PART_BYTES.to_string());
        Ok(inner)
    }

    /// Sends a chunk, waiting while the server is busy with earlier ones. Not copied, unless it is compressed (TLS).
    ///
    /// # Errors
    /// What the server says, which can be about earlier chunks, or [`Failure::Unavailable`] after
    /// [`Timeouts::insert_send`]. The insert has failed.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), DestinationError> {
        self.check()?;
        if chunk.is_empty() {
            return Ok(());
        }
        self.broken = true;
        let mut inner = match self.inner.take() {
            Some(inner) => inner,
            None => self.begin().await?,
        };
        inner.send(chunk).await.map_err(|error| self.failed(failure::from_client(&error)))?;
        self.inner = Some(inner);
        self.broken = false;
        Ok(())
    }

    /// Says that all rows were sent, and waits until they are in the table.
    ///
    /// # Errors
    /// What the server says, or [`Failure::Unavailable`] after [`Timeouts::insert_end`]; it may then still succeed.
    pub async fn end(mut self) -> Result<(), DestinationError> {
        self.check()?;
        let Some(inner) = self.inner.take() else { return Ok(()) };
        inner.end().await.map_err(|error| self.failed(failure::from_client(&error)))
    }

    fn failed(&self, error: DestinationError) -> DestinationError {
        self.span.failed(error.code());
        self.server.connection.noted(error)
    }

    fn check(&self) -> Result<(), DestinationError> {
        if self.server.window.is_some_and(|window| !window.is_open()) {
            return Err(error(Failure::Late, "they were read too long ago"));
        }
        if self.broken {
            return Err(error(Failure::Unavailable, "an insert goes on after a chunk of it was lost"));
        }
        Ok(())
    }
}

fn ends_by_ms(window: WriteWindow) -> i64 {
    i64::try_from(window.ends_by().as_millis()).unwrap_or(i64::MAX)
}
