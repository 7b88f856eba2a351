//! ClickHouse over HTTP: statements, streams, inserts, cursors, and what its tables look like.

mod connection;
pub mod cursors;
mod erase;
mod exception;
mod failure;
mod insert;
mod inspect;
mod marks;
mod page;
mod reader;
mod server_clock;
mod shape;
mod storage;
mod stream;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use clickhouse::Client;
use futures_util::{Stream, TryStreamExt};
use lockstep_core::settings::ClickHouseSettings;
use lockstep_core::{MappingName, TenancyId};
use serde::de::DeserializeOwned;

pub use self::erase::{OldTombstones, Removal};
pub use self::insert::{Insert, ONE_PART_BYTES, ONE_PART_ROWS};
pub use self::inspect::{can_manage_access, ping, server_version, table_shape, table_shapes};
pub use self::marks::{Mark, Marks};
pub use self::page::Page;
use self::reader::Reader;
pub use self::shape::{ColumnShape, TableShape, differences};
use crate::destination::{CursorAt, Cursors, Destination, PageStart, Selection};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// What Lockstep's own tables, fuses and health call this destination.
pub const NAME: &str = "clickhouse";

/// What [`ClickHouse::fetch_text`] and [`ClickHouse::fetch_rows`] hold at most, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// How long things may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// A whole statement and its answer, streams and inserts apart.
    pub statement: Duration,
    /// A stream without a byte, the wait for its first included.
    pub stream_idle: Duration,
    /// The server not taking the next chunk of an insert.
    pub insert_send: Duration,
    /// The server making parts of an insert after its last chunk.
    pub insert_end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            statement: Duration::from_secs(30),
            stream_idle: Duration::from_secs(60),
            insert_send: Duration::from_secs(60),
            insert_end: Duration::from_secs(300),
        }
    }
}

/// A ClickHouse server. Clones are cheap and share connections.
///
/// The `clickhouse` crate caches column metadata for typed inserts only, which are not used here: nothing has to be
/// cleared after DDL.
#[derive(Clone, Debug)]
pub struct ClickHouse {
    client: Client,
    reader: Reader,
    raw_database: String,
    timeouts: Timeouts,
    window: Option<WriteWindow>,
}

impl ClickHouse {
    /// Prepares a connection; the first statement opens it.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] when the URL cannot work or the certificate authorities cannot be read.
    pub fn connect(settings: &ClickHouseSettings, tls_ca_file: Option<&Path>) -> Result<Self, DestinationError> {
        let (client, reader) = connection::open(settings, tls_ca_file)?;
        Ok(Self {
            client,
            reader,
            raw_database: settings.raw_database.clone(),
            timeouts: Timeouts::default(),
            window: None,
        })
    }

    /// The same server with other timeouts: a long migration, an impatient test.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same server for inserts of what was read at one moment. One that is begun, sent to or ended when the window is
    /// not open any more fails with [`Failure::Late`].
    #[must_use]
    pub const fn within(mut self, window: WriteWindow) -> Self {
        self.window = Some(window);
        self
    }

    /// The timeouts in use.
    pub const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Runs one statement that answers nothing, and waits until it is done.
    ///
    /// # Errors
    /// What the server says, or [`Failure::Unavailable`] after [`Timeouts::statement`]; it may then still be running.
    pub async fn execute(&self, sql: &str) -> Result<(), DestinationError> {
        self.within_statement_timeout(async {
            self.client.query_raw(sql).execute().await.map_err(|error| failure::from_client(&error))
        })
        .await
    }

    /// The whole answer of a query as text, tab-separated unless the query names another format.
    ///
    /// # Errors
    /// As [`ClickHouse::execute`]; [`Failure::TooLarge`] above [`MAX_TEXT_BYTES`].
    pub async fn fetch_text(&self, sql: &str) -> Result<String, DestinationError> {
        self.fetch_formatted(sql, "TabSeparated").await
    }

    /// The rows of a small answer, each a tuple or tuple struct of its columns. The query names no format; UUIDs and
    /// times arrive as text, integers of all sizes as numbers.
    ///
    /// # Errors
    /// As [`ClickHouse::fetch_text`]; [`Failure::Unexpected`] when a row has another shape than `T`.
    pub async fn fetch_rows<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>, DestinationError> {
        let text = self.fetch_formatted(sql, "JSONCompactEachRow").await?;
        // The position is told, not the value: it may be a tenant's.
        text.lines()
            .map(|line| {
                serde_json::from_str(line).map_err(|why| {
                    error(
                        Failure::Unexpected,
                        format!("a row of the answer has another shape, column {}", why.column()),
                    )
                })
            })
            .collect()
    }

    async fn fetch_formatted(&self, sql: &str, format: &'static str) -> Result<String, DestinationError> {
        self.within_statement_timeout(async {
            let mut chunks = pin!(stream::read(&self.reader, sql, format, self.timeouts.statement));
            let mut text = Vec::new();
            while let Some(chunk) = chunks.try_next().await? {
                if text.len() + chunk.len() > MAX_TEXT_BYTES {
                    return Err(error(Failure::TooLarge, format!("more than {MAX_TEXT_BYTES} bytes of text")));
                }
                text.extend_from_slice(&chunk);
            }
            String::from_utf8(text).map_err(|_| error(Failure::Unexpected, "the answer is not UTF-8"))
        })
        .await
    }

    /// The answer of a query as it arrives, in the format that the query names (`… FORMAT RowBinary`). Chunks are cut
    /// anywhere. An exception in the middle of the answer is the stream's last item, as an error; none of its text is
    /// among the chunks. The query can only read, and is cancelled on the server when the stream is dropped.
    ///
    /// # Errors
    /// Each item may be one; the stream ends after it. [`Failure::Unavailable`] after [`Timeouts::stream_idle`] without
    /// a byte.
    pub fn stream(&self, sql: &str) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send + use<> {
        stream::read(&self.reader, sql, "RowBinary", self.timeouts.stream_idle)
    }

    /// Begins an insert: `INSERT INTO … FORMAT RowBinary`, whose rows follow in chunks. The server is asked with the
    /// first of them; an insert of nothing does nothing.
    pub fn insert(&self, statement: &str) -> Insert {
        Insert::new(self, statement)
    }

    async fn within_statement_timeout<T>(
        &self,
        statement: impl Future<Output = Result<T, DestinationError>>,
    ) -> Result<T, DestinationError> {
        let limit = self.timeouts.statement;
        tokio::time::timeout(limit, statement).await.unwrap_or_else(|_| {
            Err(error(Failure::Unavailable, format!("no answer to a statement within {} ms", limit.as_millis())))
        })
    }
}

impl Destination for ClickHouse {
    type Page = Page;

    fn name(&self) -> &'static str {
        "ClickHouse"
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        cursors::read(self, &self.raw_database, tenancies, mappings).await
    }

    fn open_page(&self, start: PageStart<'_>) -> Page {
        Page::new(self, start)
    }

    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        cursors::advance(&self.clone().within(window), &self.raw_database, cursors).await
    }
}

fn error(failure: Failure, reason: impl Into<String>) -> DestinationError {
    DestinationError::new(failure, "ClickHouse", reason)
}
