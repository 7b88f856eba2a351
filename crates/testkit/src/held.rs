//! A destination whose writes wait until the test lets them go: a process that stands still between reading and writing.

use std::sync::Arc;

use lockstep_core::{DestinationId, MappingName, TenancyId};
use lockstep_destinations::{CursorAt, Cursors, Destination, DestinationError, Selection, WriteWindow};
use tokio::sync::watch;

/// Clones wait for the same signal.
#[derive(Clone, Debug)]
pub struct Held<D> {
    inner: D,
    /// How many writes wait.
    waiting: Arc<watch::Sender<usize>>,
    go: Arc<watch::Sender<bool>>,
}

impl<D> Held<D> {
    /// Holds every write to `inner`.
    pub fn new(inner: D) -> Self {
        Self { inner, waiting: Arc::new(watch::Sender::new(0)), go: Arc::new(watch::Sender::new(false)) }
    }

    /// Returns when so many writes wait: everything for them was read, or the first piece of it.
    pub async fn until_held(&self, writes: usize) {
        // It fails where nobody can send any more: this one can.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= writes).await;
    }

    /// Lets all writes go on.
    pub fn let_go(&self) {
        self.go.send_replace(true);
    }
}

impl<D: Destination> Destination for Held<D> {
    type Sink = D::Sink;

    fn id(&self) -> DestinationId {
        self.inner.id()
    }

    fn within(self, window: WriteWindow) -> Self {
        Self { inner: self.inner.within(window), ..self }
    }

    async fn cursors(
        &self,
        tenancies: Selection<'_, TenancyId>,
        mappings: Selection<'_, MappingName>,
    ) -> Result<Cursors, DestinationError> {
        self.inner.cursors(tenancies, mappings).await
    }

    async fn begin_write(&self, statement: &str) -> Result<Self::Sink, DestinationError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = self.go.subscribe().wait_for(|go| *go).await;
        self.inner.begin_write(statement).await
    }

    async fn advance(&self, cursors: &[CursorAt]) -> Result<(), DestinationError> {
        self.inner.advance(cursors).await
    }
}
