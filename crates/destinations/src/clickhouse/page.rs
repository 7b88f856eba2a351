//! Pages: rows are encoded as `RowBinary`, gathered into chunks, and inserted.

use std::sync::Arc;

use bytes::Bytes;
use lockstep_core::telemetry::{Kind, Server, Span};
use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::{each_server, literal, raw_table};
use lockstep_mappings::codec::{CodecError, Row, append_row_binary};
use tokio::task::JoinSet;

use super::{ClickHouse, Insert, error, in_time};
use crate::destination::{Ended, PageStart, PageWriter, Sent, WriteLimits};
use crate::error::{DestinationError, Failure};

/// Rows are appended to a chunk until it is this much larger than its limit without another allocation.
const SLACK_BYTES: usize = 16 * 1024;

/// An insert under way, and what it was given so far.
struct OpenInsert {
    insert: Insert,
    rows: u64,
    bytes: u64,
}

/// A page of a mapping. One insert takes up to the limits of the page; while the server ends it, the next is under way.
/// Without rows there is no insert.
#[must_use = "a page that is dropped is not written"]
pub struct Page {
    server: ClickHouse,
    mapping: Arc<Mapping>,
    limits: WriteLimits,
    chunk: Vec<u8>,
    chunk_rows: u64,
    open: Option<OpenInsert>,
    ending: JoinSet<Result<(), DestinationError>>,
    sent: Sent,
    /// Not while a chunk is being sent: one that failed, or whose sending was dropped, is missing.
    is_whole: bool,
}

impl Page {
    pub(super) fn new(server: &ClickHouse, start: PageStart<'_>) -> Self {
        Self {
            server: server.clone().within(start.window),
            mapping: Arc::clone(start.mapping),
            limits: start.limits,
            chunk: Vec::new(),
            chunk_rows: 0,
            open: None,
            ending: JoinSet::new(),
            sent: Sent::default(),
            is_whole: true,
        }
    }

    /// Waits for the insert that the server is ending.
    async fn ended(&mut self) -> Result<(), DestinationError> {
        while let Some(ended) = self.ending.join_next().await {
            match ended {
                Ok(ended) => ended?,
                Err(joined) => match joined.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(cancelled) => return Err(error(Failure::Unavailable, cancelled.to_string())),
                },
            }
        }
        Ok(())
    }
}

impl PageWriter for Page {
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        if self.chunk.capacity() == 0 {
            self.chunk.reserve_exact(self.limits.chunk_bytes + SLACK_BYTES);
        }
        append_row_binary(&self.mapping, row, &mut self.chunk)?;
        self.chunk_rows += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.chunk.len() >= self.limits.chunk_bytes
    }

    async fn send(&mut self) -> Result<(), DestinationError> {
        match self.send_chunk().await {
            Err(error) => Err(self.explained(error).await),
            sent => sent,
        }
    }

    fn sent(&self) -> Sent {
        self.sent
    }

    /// The cursors are in a table of their own: an insert moves them afterwards.
    async fn end(mut self, _: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        self.send().await?;
        match self.end_inserts().await {
            Err(error) => Err(self.explained(error).await),
            Ok(()) => Ok(Ended::RowsOnly),
        }
    }
}

impl Page {
    /// Of one insert.
    fn span(&self) -> Span {
        let table = &self.mapping.name;
        let span = Span::part(Kind::Client, || format!("INSERT {table}"));
        span.asks(Server::ClickHouse);
        span.set("db.operation.name", "INSERT");
        span.set_text("db.collection.name", table.as_str());
        span.set_text("db.namespace", &self.server.databases.raw);
        if let Some(window) = self.server.window {
            span.set_with("lockstep.flush.id", || window.id().to_string());
        }
        span
    }

    async fn send_chunk(&mut self) -> Result<(), DestinationError> {
        if !self.is_whole {
            return Err(error(Failure::Unavailable, "a chunk before this one was not sent to its end"));
        }
        if self.chunk_rows == 0 {
            return Ok(());
        }
        self.is_whole = false;
        let (chunk, rows) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.chunk_rows));
        let bytes = chunk.len() as u64;
        self.sent.bytes += bytes;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let table = raw_table(&self.mapping, &self.server.databases);
                in_time::require(&self.server, &table).await?;
                self.sent.writes += 1;
                let mut insert = self.server.insert(&table.insert());
                insert.span = self.span();
                OpenInsert { insert, rows: 0, bytes: 0 }
            }
        };
        open.insert.send(Bytes::from(chunk)).await?;
        open.rows += rows;
        open.bytes += bytes;
        open.insert.span.count("db.operation.batch.size", open.rows);
        open.insert.span.count("lockstep.bytes", open.bytes);
        if open.rows < self.limits.write_rows && open.bytes < self.limits.write_bytes {
            self.open = Some(open);
        } else {
            // One at a time: the server holds an insert's rows in memory while it makes a part of them.
            self.ended().await?;
            self.ending.spawn(open.insert.end());
        }
        self.is_whole = true;
        Ok(())
    }

    async fn end_inserts(&mut self) -> Result<(), DestinationError> {
        if let Some(open) = self.open.take() {
            open.insert.end().await?;
        }
        self.ended().await
    }

    /// What an insert into a table that is built beside another fails with once it has taken that one's place says nothing
    /// about the rows: they are written under the name that it has now.
    async fn explained(&self, failed: DestinationError) -> DestinationError {
        if self.mapping.is_beside && matches!(self.server.is_beside(&self.mapping).await, Ok(false)) {
            return error(
                Failure::Unavailable,
                "the table that rows were meant for has taken the place of another meanwhile",
            );
        }
        failed
    }
}

/// Parts of this size, in bytes, are no longer merged with every insert's.
const SETTLED_PART_BYTES: u64 = 64 * 1024 * 1024;

/// Each insert makes a part: how many wait to be merged in the raw table, or the table of cursors, that has most of them.
pub(super) async fn most_active_parts(server: &ClickHouse) -> Result<u64, DestinationError> {
    let raw = literal(&server.databases.raw);
    let of_tables = format!(
        "SELECT count() AS parts FROM {} WHERE active AND database = {raw} AND bytes_on_disk < {SETTLED_PART_BYTES} GROUP BY hostName(), tcpPort(), table",
        each_server("parts", &server.databases)
    );
    server.fetch_one(&format!("SELECT max(parts) FROM ({of_tables})")).await
}
