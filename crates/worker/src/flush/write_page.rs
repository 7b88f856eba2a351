//! Writing a page: rows that passed their filter are pushed, sent in chunks, and made durable by the page's end.

use std::sync::Arc;

use lockstep_core::{SequenceId, TenancyId, failpoint};
use lockstep_destinations::{Destination, DestinationError, Ended, PageStart, PageWriter, Sent};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, Row};

use crate::limits::Limits;

/// A page that rows are read into.
pub(crate) struct OpenPage<P> {
    pub(crate) writer: P,
    pub(crate) rows: u64,
    tombstones: u64,
    mapping: Arc<Mapping>,
    max_value_bytes: usize,
}

/// A page that is durable. There is no other way to one than [`OpenPage::end`].
#[must_use = "its cursors have to move"]
#[derive(Debug)]
pub(crate) struct DurablePage {
    pub(crate) rows: u64,
    /// Of these.
    pub(crate) tombstones: u64,
    pub(crate) sent: Sent,
    ended: Ended,
}

impl DurablePage {
    /// Whether its cursors have moved with it.
    pub(super) const fn ended(&self) -> Ended {
        self.ended
    }
}

impl<P: PageWriter> OpenPage<P> {
    pub(crate) fn open<D: Destination<Page = P>>(destination: &D, start: PageStart<'_>, limits: &Limits) -> Self {
        Self::of(destination.open_page(start), start, limits)
    }

    /// A page that `writer` takes.
    pub(crate) fn of(writer: P, start: PageStart<'_>, limits: &Limits) -> Self {
        let (mapping, max_value_bytes) = (Arc::clone(start.mapping), limits.max_value_bytes);
        Self { writer, rows: 0, tombstones: 0, mapping, max_value_bytes }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// Where [`CodecError::is_of_row`] says so the row is left out, and the next can be pushed.
    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        row.fits(&self.mapping, self.max_value_bytes)?;
        self.writer.push(row)?;
        self.rows += 1;
        self.tombstones += u64::from(row.head.deleted);
        Ok(())
    }

    /// Bytes that were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer.sent().bytes
    }

    /// Sends what has gathered.
    pub(crate) async fn send(&mut self) -> Result<(), DestinationError> {
        if self.rows > 0 {
            failpoint!("worker::insert::before", return Err(DestinationError::unanswered(super::DESTINATION)));
            self.writer.send().await?;
        }
        Ok(())
    }

    /// Waits until the destination holds all rows. `cursors` may move with them.
    pub(crate) async fn end(mut self, cursors: &[(TenancyId, SequenceId)]) -> Result<DurablePage, DestinationError> {
        self.send().await?;
        let (rows, tombstones, sent) = (self.rows, self.tombstones, self.writer.sent());
        let ended = self.writer.end(cursors).await?;
        if rows > 0 {
            failpoint!("worker::insert::after", return Err(DestinationError::unanswered(super::DESTINATION)));
        }
        Ok(DurablePage { rows, tombstones, sent, ended })
    }
}
