//! What a destination promises.

use std::collections::HashMap;

use bytes::Bytes;
use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};

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

/// A cursor and where it is to stand.
pub type CursorAt = (TenancyId, MappingName, SequenceId);

/// A place that holds tenants' rows and remembers how far it has come.
///
/// **Order.** A caller ends every write of a batch before it advances the cursors of that batch. That order alone keeps
/// CUR-1; an implementation may assume it and must not reorder.
///
/// **Durability.** When [`RowSink::end`] or [`Destination::advance`] returns `Ok`, what was sent survives the death of
/// the destination's process and is seen by every read that starts afterwards.
///
/// **Failure.** An error says nothing about what arrived: all of it, nothing, or some (a write larger than the
/// destination takes in one piece). The caller sends the same again; see *Duplicates*.
///
/// **Duplicates.** A row carries its key, its sequence and whether it is a tombstone. A row that is there already, or a
/// later version of it, makes a repeated or late arrival invisible (IDEM-1). A cursor that is advanced to less than it
/// was stays where it was.
///
/// **Concurrency.** All methods may be called from many tasks at once, in one process and in several. Writes into the
/// same table run side by side and their order does not matter.
///
/// **Lateness.** What is written or advanced through [`Destination::within`] becomes visible before the window's end, or
/// never: whatever a caller does, and however long its process stands still in between.
///
/// **Limits.** Every call ends by itself: each implementation states its timeouts. Dropping a future is safe at any
/// point and counts as a failure.
pub trait Destination: Send + Sync {
    /// Takes the rows of one write.
    type Sink: RowSink;

    /// What it is called in Lockstep's tables, fuses, health and errors.
    fn id(&self) -> DestinationId;

    /// The same destination for writing what was read at one moment. A write that is begun, sent to or ended when the
    /// window is not open any more fails with [`crate::Failure::Late`].
    #[must_use]
    fn within(self, window: WriteWindow) -> Self
    where
        Self: Sized;

    /// The cursors of these tenants and mappings, in one question to the destination.
    ///
    /// # Errors
    /// When the destination cannot be asked.
    fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> impl Future<Output = Result<Cursors, DestinationError>> + Send;

    /// Begins a write of rows in this destination's own format, for the statement that `lockstep-mappings` derived for
    /// their mapping.
    ///
    /// # Errors
    /// When the destination cannot take rows. One that is asked only with the first chunk says so then.
    fn begin_write(&self, statement: &str) -> impl Future<Output = Result<Self::Sink, DestinationError>> + Send;

    /// Moves cursors forward, all of them in one write.
    ///
    /// # Errors
    /// When it is not certain that they were moved. Doing it again is harmless.
    fn advance(&self, cursors: &[CursorAt]) -> impl Future<Output = Result<(), DestinationError>> + Send;
}

/// A write under way: chunks of encoded rows, then [`RowSink::end`].
///
/// Chunks may be cut anywhere, inside a row too. 256 KiB to 1 MiB is a good size; they are passed on without a copy where
/// the destination allows it. A sink that is dropped without `end`, or that has failed, is a write that failed.
pub trait RowSink: Send {
    /// Sends a chunk, waiting for the destination where it is slower than the caller.
    ///
    /// # Errors
    /// When the write has failed. It cannot be resumed: begin another and send all of it again.
    fn send(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), DestinationError>> + Send;

    /// Says that all rows were sent and waits until the destination holds them.
    ///
    /// # Errors
    /// When it is not certain that it does.
    fn end(self) -> impl Future<Output = Result<(), DestinationError>> + Send;
}
