//! A destination whose writes wait until the test lets them go: a process that stands still between reading and writing.

use std::sync::Arc;

use lockstep_core::{MappingName, TenancyId};
use lockstep_destinations::{CursorAt, Cursors, Destination, DestinationError, Selection, WriteWindow};
use tokio::sync::watch;

/// Clones wait for the same signal.
#[derive(Clone)]
pub(crate) struct Held<D> {
    inner: D,
    /// How many writes wait.
    waiting: Arc<watch::Sender<usize>>,
    go: Arc<watch::Sender<bool>>,
}

impl<D> Held<D> {
    pub(crate) fn new(inner: D) -> Self {
        Self { inner, waiting: Arc::new(watch::Sender::new(0)), go: Arc::new(watch::Sender::new(false)) }
    }

    /// Returns when a write waits: everything for it was read.
    pub(crate) async fn until_held(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    /// Lets all writes go on.
    pub(crate) fn let_go(&self) {
        self.go.send_replace(true);
    }
}

impl<D: Destination> Destination for Held<D> {
    type Sink = D::Sink;

    fn name(&self) -> &'static str {
        self.inner.name()
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
        self.go.subscribe().wait_for(|go| *go).await.unwrap();
        self.inner.begin_write(statement).await
    }

    async fn advance(&self, cursors: &[CursorAt]) -> Result<(), DestinationError> {
        self.inner.advance(cursors).await
    }
}
