//! A destination that fails as it is told, for tests: wrapped around a real one.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_mappings::codec::{CodecError, Row};
use tokio::sync::watch;

use crate::destination::{
    CursorAt, Cursors, Destination, Ended, Keeps, PageStart, PageWriter, Selection, Sent, ServerStart,
};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// What can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// [`Destination::cursors`].
    Cursors,
    /// A page with rows, from its first [`PageWriter::send`] to [`PageWriter::end`].
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

/// Where writes wait: a process that stands still between reading and writing.
#[derive(Clone, Debug)]
struct Gate {
    /// How many writes have come to it.
    held: Arc<watch::Sender<usize>>,
    is_open: Arc<watch::Sender<bool>>,
}

impl Gate {
    fn new(is_open: bool) -> Self {
        Self { held: Arc::new(watch::Sender::new(0)), is_open: Arc::new(watch::Sender::new(is_open)) }
    }

    async fn pass(&self) {
        self.held.send_modify(|held| *held += 1);
        // It fails where nobody can send any more: this one can.
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }
}

/// A destination that fails by script. Clones share the script; without one it does what the inner destination does.
#[derive(Clone, Debug)]
pub struct Faulty<D> {
    inner: D,
    script: Script,
    gate: Gate,
}

impl<D> Faulty<D> {
    /// Around a destination that works.
    pub fn new(inner: D) -> Self {
        Self { inner, script: Script::default(), gate: Gate::new(true) }
    }

    /// As [`Faulty::new`], but every write waits for [`Faulty::let_go`].
    pub fn holding_writes(inner: D) -> Self {
        Self { gate: Gate::new(false), ..Self::new(inner) }
    }

    /// Returns when so many writes wait: everything for them was read, or the first piece of it.
    pub async fn until_held(&self, writes: usize) {
        let _ = self.gate.held.subscribe().wait_for(|held| *held >= writes).await;
    }

    /// Lets all writes go on.
    pub fn let_go(&self) {
        self.gate.is_open.send_replace(true);
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
    type Page = FaultyPage<D::Page>;

    fn id(&self) -> DestinationId {
        self.inner.id()
    }

    fn keeps(&self) -> Keeps {
        self.inner.keeps()
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        self.run(Operation::Cursors, self.inner.cursors(tenancies, mappings)).await
    }

    fn open_page(&self, start: PageStart<'_>) -> Self::Page {
        let script = Faulty { inner: (), script: Arc::clone(&self.script), gate: self.gate.clone() };
        FaultyPage { inner: self.inner.open_page(start), script, has_rows: false, is_begun: false, fault: None }
    }

    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        self.run(Operation::Advance, self.inner.advance(cursors, window)).await
    }

    async fn check_version(&self) -> Result<(), DestinationError> {
        self.inner.check_version().await
    }

    async fn ping(&self) -> Result<(), DestinationError> {
        self.inner.ping().await
    }

    async fn servers(&self) -> Result<Vec<ServerStart>, DestinationError> {
        self.inner.servers().await
    }

    async fn unmerged(&self) -> Result<u64, DestinationError> {
        self.inner.unmerged().await
    }
}

/// A page that fails at its first rows or at its end, if it was told to.
#[derive(Debug)]
pub struct FaultyPage<P> {
    inner: P,
    script: Faulty<()>,
    has_rows: bool,
    is_begun: bool,
    fault: Option<Fault>,
}

impl<P> FaultyPage<P> {
    /// The first rows leave: a page without rows is no operation.
    async fn begin(&mut self) -> Result<(), DestinationError> {
        if self.has_rows && !std::mem::replace(&mut self.is_begun, true) {
            self.script.gate.pass().await;
            self.fault = self.script.next(Operation::Write);
        }
        match &self.fault {
            Some(Fault::Before(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl<P: PageWriter> PageWriter for FaultyPage<P> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.has_rows = true;
        self.inner.push(row)
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    async fn send(&mut self) -> Result<(), DestinationError> {
        self.begin().await?;
        self.inner.send().await
    }

    fn sent(&self) -> Sent {
        self.inner.sent()
    }

    async fn end(mut self, cursors: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        self.begin().await?;
        match self.fault {
            None => self.inner.end(cursors).await,
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => self.inner.end(cursors).await.and(Err(error)),
            Some(Fault::LostConnection) => Err(lost_connection()),
            Some(Fault::Hang) => pending().await,
        }
    }
}

fn lost_connection() -> DestinationError {
    DestinationError::new(Failure::Unavailable, "a destination under test", "the connection was lost, as scripted")
}
