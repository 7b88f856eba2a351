//! A destination whose writes wait until the test lets them go: a process that stands still between reading and writing.

use std::sync::Arc;

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_destinations::{
    CursorAt, Cursors, Destination, DestinationError, Ended, PageStart, PageWriter, Selection, Sent, WriteWindow,
};
use lockstep_mappings::codec::{CodecError, Row};
use tokio::sync::watch;

/// Clones wait for the same signal.
#[derive(Clone, Debug)]
pub struct Held<D> {
    inner: D,
    signals: Signals,
}

#[derive(Clone, Debug)]
struct Signals {
    /// How many writes wait.
    waiting: Arc<watch::Sender<usize>>,
    go: Arc<watch::Sender<bool>>,
}

impl<D> Held<D> {
    /// Holds every write to `inner`.
    pub fn new(inner: D) -> Self {
        let signals = Signals { waiting: Arc::new(watch::Sender::new(0)), go: Arc::new(watch::Sender::new(false)) };
        Self { inner, signals }
    }

    /// Returns when so many writes wait: everything for them was read, or the first piece of it.
    pub async fn until_held(&self, writes: usize) {
        // It fails where nobody can send any more: this one can.
        let _ = self.signals.waiting.subscribe().wait_for(|waiting| *waiting >= writes).await;
    }

    /// Lets all writes go on.
    pub fn let_go(&self) {
        self.signals.go.send_replace(true);
    }
}

impl<D: Destination> Destination for Held<D> {
    type Page = HeldPage<D::Page>;

    fn id(&self) -> DestinationId {
        self.inner.id()
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        self.inner.cursors(tenancies, mappings).await
    }

    fn open_page(&self, start: PageStart<'_>) -> Self::Page {
        HeldPage {
            inner: self.inner.open_page(start),
            signals: self.signals.clone(),
            has_rows: false,
            has_waited: false,
        }
    }

    async fn advance(&self, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
        self.inner.advance(cursors, window).await
    }

    async fn unmerged(&self) -> Result<u64, DestinationError> {
        self.inner.unmerged().await
    }
}

/// A page whose first rows wait.
#[derive(Debug)]
pub struct HeldPage<P> {
    inner: P,
    signals: Signals,
    has_rows: bool,
    has_waited: bool,
}

impl<P> HeldPage<P> {
    async fn wait(&mut self) {
        if self.has_rows && !std::mem::replace(&mut self.has_waited, true) {
            self.signals.waiting.send_modify(|waiting| *waiting += 1);
            let _ = self.signals.go.subscribe().wait_for(|go| *go).await;
        }
    }
}

impl<P: PageWriter> PageWriter for HeldPage<P> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.has_rows = true;
        self.inner.push(row)
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    async fn send(&mut self) -> Result<(), DestinationError> {
        self.wait().await;
        self.inner.send().await
    }

    fn sent(&self) -> Sent {
        self.inner.sent()
    }

    async fn end(mut self, cursors: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        self.wait().await;
        self.inner.end(cursors).await
    }
}
