//! What a destination promises.

use std::collections::HashMap;
use std::sync::Arc;

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, Row};

use crate::error::DestinationError;
use crate::window::WriteWindow;

/// All of something, or these alone. `These(&[])` is nothing, not everything.
#[derive(PartialEq, Eq, Debug)]
pub enum Selection<'a, T> {
    /// Every one there is.
    All,
    /// These alone.
    These(&'a [T]),
}

// Derived, these would ask the same of `T`, of which only a reference is held.
impl<T> Clone for Selection<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Selection<'_, T> {}

/// How far a tenant's rows of a mapping have come in one destination. Absent means [`SequenceId::BASE`]: nothing yet.
pub type Cursors = HashMap<(TenancyId, MappingName), SequenceId>;

/// The cursors that say something. One above `head`, the source's last number, read after them, does not: the source was
/// restored to an earlier state, and will give out the numbers up to there once more (SRC-1).
pub fn without_ahead(mut cursors: Cursors, head: SequenceId) -> Cursors {
    cursors.retain(|_, cursor| *cursor <= head);
    cursors
}

/// A cursor and where it is to stand.
pub type CursorAt = (TenancyId, MappingName, SequenceId);

/// A server of a destination, and when it was started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerStart {
    /// Its own name, the same whenever it is started.
    pub name: String,
    /// In milliseconds since 1970, by its own clock, to some seconds.
    pub started_ms: i64,
}

/// Bounds of one page's writes, whatever the page holds.
#[derive(Clone, Copy, Debug)]
pub struct WriteLimits {
    /// What is gathered before it is sent to the destination, in bytes. A row is never cut.
    pub chunk_bytes: usize,
    /// Rows of one write. While the destination makes one durable, the next is under way.
    pub write_rows: u64,
    /// Bytes of one write: ClickHouse holds several times as many in memory until it has made a part of them.
    pub write_bytes: u64,
}

impl Default for WriteLimits {
    fn default() -> Self {
        Self { chunk_bytes: 512 * 1024, write_rows: 250_000, write_bytes: 64 * 1024 * 1024 }
    }
}

/// What a destination has to know of a page before its first row.
#[derive(Clone, Copy, Debug)]
pub struct PageStart<'a> {
    /// Whose rows they are.
    pub mapping: &'a Arc<Mapping>,
    /// The tenancies of the page and the cursors that it was read above. Empty for rows of a fill, which have no cursors: a
    /// row that is there with a higher sequence stays.
    pub from: &'a [(TenancyId, SequenceId)],
    /// How long the page may be written.
    pub window: WriteWindow,
    /// Bounds of its writes.
    pub limits: WriteLimits,
}

/// What the end of a page has made durable. Only an ended page allows its cursors to move (CUR-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "cursors that did not move with their page have to be advanced"]
pub enum Ended {
    /// The rows. The caller moves the cursors by [`Destination::advance`].
    RowsOnly,
    /// The rows and, in the same transaction, the cursors.
    CursorsMoved,
}

/// How much of a page was sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sent {
    /// Bytes, as the destination encodes them.
    pub bytes: u64,
    /// Writes that were begun.
    pub writes: u64,
}

/// What a destination keeps of rows, and so how what it is given has to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// Versions of the rows of all tenancies by place, tombstones included: whatever arrives last, the highest version is
    /// shown. Read by place, since several tenancies can be at one.
    Versions,
    /// The rows of one tenancy, wherever it is, and nothing of those that are gone. A page is written only where the cursor
    /// stands exactly where it stood when the page was read, else [`crate::Failure::Moved`]. Its cursors are read before the
    /// snapshot that the page is read from.
    Rows,
}

/// A place that holds tenants' rows and remembers how far it has come.
///
/// **Order.** A cursor moves with the end of its page or after it, never before. An implementation must not reorder.
///
/// **Durability.** When [`PageWriter::end`] or [`Destination::advance`] returns `Ok`, what was sent survives the death of
/// the destination's process and is seen by every read that starts afterwards.
///
/// **Failure.** An error says nothing about what arrived: all of it, nothing, or some (a page larger than the
/// destination takes in one piece). The caller sends the same again; see *Duplicates*.
///
/// **Duplicates.** A row carries its key, its sequence and whether it is a tombstone. A row that is there already, or a
/// later version of it, makes a repeated or late arrival invisible (IDEM-1). A destination that forgets deleted rows
/// compares its cursors with those that the page was read above instead. A cursor that is advanced to less than it was
/// stays where it was.
///
/// **Concurrency.** All methods may be called from many tasks at once, in one process and in several. Pages of the same
/// mapping are written side by side and their order does not matter.
///
/// **Lateness.** What is written or advanced within a window becomes visible before the window's end, or never: whatever a
/// caller does, and however long its process stands still in between. Where the window is not open any more, the call
/// fails with [`crate::Failure::Late`].
///
/// **Limits.** Every call ends by itself: each implementation states its timeouts. Dropping a future is safe at any
/// point and counts as a failure.
pub trait Destination: Clone + Send + Sync + 'static {
    /// Takes the rows of one page.
    type Page: PageWriter;

    /// What it is called in Lockstep's tables, pauses, health and errors.
    fn id(&self) -> DestinationId;

    /// What it keeps of rows.
    fn keeps(&self) -> Keeps;

    /// The cursors of these tenants and mappings, in one question to the destination.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> impl Future<Output = Result<Cursors, DestinationError>> + Send;

    /// Opens a page. The destination is not asked before rows are sent.
    fn open_page(&self, start: PageStart<'_>) -> Self::Page;

    /// Moves cursors forward, all of them in one write: those of pages that have ended, and those that pass rows in
    /// quarantine.
    ///
    /// # Errors
    /// When it is not certain that they were moved. Doing it again is harmless.
    fn advance(
        &self,
        cursors: &[CursorAt],
        window: WriteWindow,
    ) -> impl Future<Output = Result<(), DestinationError>> + Send;

    /// Whether it is of a version that has what Lockstep needs, and lets settings be changed that statements depend on. Any will
    /// do, for a destination that says nothing of it.
    ///
    /// # Errors
    /// [`crate::Failure::Outdated`] when it is too old, [`crate::Failure::Constrained`] when it keeps settings; any other
    /// failure says nothing of either.
    fn check_version(&self) -> impl Future<Output = Result<(), DestinationError>> + Send {
        async { Ok(()) }
    }

    /// Whether it answers at all, within some seconds. Taken for granted of a destination that says nothing of it.
    ///
    /// # Errors
    /// Why it does not.
    fn ping(&self) -> impl Future<Output = Result<(), DestinationError>> + Send {
        async { Ok(()) }
    }

    /// The servers that keep what they are given in memory before it is on a disk, and when each was started: one that was
    /// started again may have lost what came in the last minutes before. None, for a destination that writes through.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn servers(&self) -> impl Future<Output = Result<Vec<ServerStart>, DestinationError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// How many pieces wait to be merged, in the table that has most of them: each write may leave one. None, for a
    /// destination that merges nothing.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn unmerged(&self) -> impl Future<Output = Result<u64, DestinationError>> + Send {
        async { Ok(0) }
    }
}

/// A page under way. Rows are gathered by [`PageWriter::push`] and leave with [`PageWriter::send`].
///
/// A page that is dropped without its end, or of which a call has failed, is a page that was not written: open another and
/// push all of it again.
pub trait PageWriter: Send + 'static {
    /// Takes a row: encodes it, and gathers it with those before.
    ///
    /// # Errors
    /// [`CodecError::Value`] when the destination cannot hold it: the row is left out, and the next can be pushed.
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError>;

    /// Whether a chunk has gathered, which is to be sent before more is pushed.
    fn is_full(&self) -> bool;

    /// Sends what has gathered, waiting for the destination where it is slower than the caller. Nothing, where nothing has.
    ///
    /// # Errors
    /// What the destination says, perhaps of rows that were sent before.
    fn send(&mut self) -> impl Future<Output = Result<(), DestinationError>> + Send;

    /// How much was sent so far.
    fn sent(&self) -> Sent;

    /// Says that all rows were sent, and waits until the destination holds them. `cursors` are those that may move with
    /// them.
    ///
    /// # Errors
    /// When it is not certain that it does.
    fn end(self, cursors: &[(TenancyId, SequenceId)]) -> impl Future<Output = Result<Ended, DestinationError>> + Send;
}
