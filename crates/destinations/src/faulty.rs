//! A destination that fails as it is told, for tests: wrapped around a real one.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lockstep_core::{DestinationId, MappingName, TenancyId};

use crate::destination::{CursorAt, Cursors, Destination, RowSink, Selection};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// What can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// [`Destination::cursors`].
    Cursors,
    /// A write, from [`Destination::begin_write`] to [`RowSink::end`].
    Write,
    /// [`Destination::advance`].
    Advance,
}

/// How it fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is not done, and the error says so.
    Before(DestinationError),
    /// It is done, and the error says otherwise: an answer that was lost.
    After(DestinationError),
    /// A write whose rows are sent but never ended; anything else is not done. Reported as [`Failure::Unavailable`].
    LostConnection,
    /// It neither happens nor ends: only a timeout or a shutdown helps.
    Hang,
}

type Script = Arc<Mutex<HashMap<Operation, VecDeque<Option<Fault>>>>>;

/// A destination that fails by script. Clones share the script; without one it does what the inner destination does.
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    inner: D,
    script: Script,
}

impl<D> Faulty<D> {
    /// Around a destination that works.
    pub fn new(inner: D) -> Self {
        Self { inner, script: Script::default() }
    }

    /// What happens to the next operations of this kind, one each, after what was scripted before. `None` lets one pass.
    pub fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Option<Fault>>) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.entry(operation).or_default().extend(faults);
    }

    /// How many scripted operations have not happened yet.
    pub fn left(&self) -> usize {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.values().map(VecDeque::len).sum()
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.get_mut(&operation).and_then(VecDeque::pop_front).flatten()
    }

    async fn run<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, DestinationError>> + Send,
    ) -> Result<T, DestinationError> {
        match self.next(operation) {
            None => work.await,
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => work.await.and(Err(error)),
            Some(Fault::LostConnection) => Err(lost_connection()),
            Some(Fault::Hang) => pending().await,
        }
    }
}

impl<D: Destination> Destination for Faulty<D> {
    type Sink = FaultySink<D::Sink>;

    fn id(&self) -> DestinationId {
        self.inner.id()
    }

    fn within(self, window: WriteWindow) -> Self {
        Self { inner: self.inner.within(window), script: self.script }
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        self.run(Operation::Cursors, self.inner.cursors(tenancies, mappings)).await
    }

    async fn begin_write(&self, statement: &str) -> Result<Self::Sink, DestinationError> {
        match self.next(Operation::Write) {
            Some(Fault::Before(error)) => Err(error),
            fault => Ok(FaultySink { inner: self.inner.begin_write(statement).await?, fault }),
        }
    }

    async fn advance(&self, cursors: &[CursorAt]) -> Result<(), DestinationError> {
        self.run(Operation::Advance, self.inner.advance(cursors)).await
    }
}

/// A write that fails at its end, if it was told to.
#[derive(Debug)]
pub struct FaultySink<S> {
    inner: S,
    fault: Option<Fault>,
}

impl<S: RowSink> RowSink for FaultySink<S> {
    async fn send(&mut self, chunk: Bytes) -> Result<(), DestinationError> {
        self.inner.send(chunk).await
    }

    async fn end(self) -> Result<(), DestinationError> {
        match self.fault {
            None => self.inner.end().await,
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => self.inner.end().await.and(Err(error)),
            Some(Fault::LostConnection) => Err(lost_connection()),
            Some(Fault::Hang) => pending().await,
        }
    }
}

fn lost_connection() -> DestinationError {
    DestinationError::new(Failure::Unavailable, "a destination under test", "the connection was lost, as scripted")
}
