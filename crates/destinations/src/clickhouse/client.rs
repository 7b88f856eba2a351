//! The client of a ClickHouse server over HTTP: statements, small answers, streams.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use lockstep_core::settings::ClickHouseSettings;
use lockstep_mappings::clickhouse::{Databases, identifier};
use serde::de::DeserializeOwned;

use super::connection::{self, Connection};
use super::insert::Insert;
use super::{error, failure, quorum, stream};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// A server answers a ping within this time, or is not there.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

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
    pub(super) connection: Arc<Connection>,
    pub(super) databases: Databases,
    user: String,
    pub(super) timeouts: Timeouts,
    pub(super) window: Option<WriteWindow>,
}

impl ClickHouse {
    /// Prepares a connection; the first statement opens it.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] when the URL cannot work or the certificate authorities cannot be read.
    pub fn connect(settings: &ClickHouseSettings, tls_ca_file: Option<&Path>) -> Result<Self, DestinationError> {
        let connection = Arc::new(connection::open(settings, tls_ca_file)?);
        let (databases, user) = (Databases::from(settings), settings.user.clone());
        Ok(Self { connection, databases, user, timeouts: Timeouts::default(), window: None })
    }

    /// The same server with other timeouts: a long migration, an impatient test.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The timeouts in use.
    pub const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// The databases of this installation on the server.
    pub const fn databases(&self) -> &Databases {
        &self.databases
    }

    /// The user that Lockstep logs in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns when the server has answered, within 5 seconds, and let the user in.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn ping(&self) -> Result<(), DestinationError> {
        let timeouts = Timeouts { statement: PING_TIMEOUT, ..self.timeouts };
        self.clone().with_timeouts(timeouts).execute("SELECT 1").await
    }

    /// Limits of its user's profile that cannot be lifted for our statements, each with its value: a statement that reaches one
    /// fails.
    ///
    /// # Errors
    /// [`Failure::Constrained`] where a setting is kept that statements depend on, or what else the server says.
    pub async fn kept_limits(&self) -> Result<Vec<(String, String)>, DestinationError> {
        Ok(self.connection.pinned(self.timeouts.statement).await?.kept_limits.clone())
    }

    /// The same server for inserts of what was read at one moment. One that is begun, sent to or ended when the window is
    /// not open any more fails with [`Failure::Late`].
    #[must_use]
    pub const fn within(mut self, window: WriteWindow) -> Self {
        self.window = Some(window);
        self
    }

    /// Runs one statement that answers nothing, and waits until it is done.
    ///
    /// # Errors
    /// What the server says, or [`Failure::Unavailable`] after [`Timeouts::statement`]; it may then still be running.
    pub async fn execute(&self, sql: &str) -> Result<(), DestinationError> {
        self.within_statement_timeout(async {
            let client = &self.connection.pinned(self.timeouts.statement).await?.writing;
            let run = || async { client.query_raw(sql).execute().await.map_err(|error| failure::from_client(&error)) };
            quorum::reached(run).await.map_err(|error| self.connection.noted(error))
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

    /// The first column of an answer of one row.
    pub(super) async fn fetch_one<T: DeserializeOwned>(&self, sql: &str) -> Result<T, DestinationError> {
        let rows: Vec<(T,)> = self.fetch_rows(sql).await?;
        rows.into_iter().next().map(|(value,)| value).ok_or_else(|| error(Failure::Unexpected, "the answer has no row"))
    }

    /// A table of the raw database, as statements name it.
    pub(super) fn raw_table(&self, name: &str) -> String {
        format!("{}.{}", identifier(&self.databases.raw), identifier(name))
    }

    async fn fetch_formatted(&self, sql: &str, format: &'static str) -> Result<String, DestinationError> {
        self.within_statement_timeout(async {
            let mut chunks = pin!(stream::read(&self.connection, sql, format, self.timeouts.statement));
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
        stream::read(&self.connection, sql, "RowBinary", self.timeouts.stream_idle)
    }

    /// Begins an insert: `INSERT INTO … FORMAT RowBinary`, whose rows follow in chunks. The server is asked with the
    /// first of them; an insert of nothing does nothing.
    pub fn insert(&self, statement: &str) -> Insert {
        Insert::new(self, statement)
    }

    pub(super) async fn within_statement_timeout<T>(
        &self,
        statement: impl Future<Output = Result<T, DestinationError>>,
    ) -> Result<T, DestinationError> {
        let limit = self.timeouts.statement;
        tokio::time::timeout(limit, statement).await.unwrap_or_else(|_| {
            Err(error(Failure::Unavailable, format!("no answer to a statement within {} ms", limit.as_millis())))
        })
    }
}
