//! What is paused, as this worker knows it: read twice a second, shared by all its parts.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::{DestinationId, TenancyId};
use lockstep_schema::pauses::Pauses;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Control, Session, Source, SourceError};
use tokio::sync::{Notify, watch};

use crate::flush::DESTINATION;

/// Why what ships is not tried.
pub(crate) const PAUSED: &str = "shipping is paused (`lockstep paused`)";
/// Half of what an operator may wait for a pause to take effect.
const READ_EVERY: Duration = Duration::from_millis(500);
/// How long after one worker has seen a change all have: then none drops messages any more for what was resumed.
pub(crate) const SEEN_BY_ALL: Duration = Duration::from_millis(1_500);

/// One part's view of what is paused. Clones are cheap.
#[derive(Clone)]
pub(crate) struct KnownPauses(watch::Receiver<Option<Arc<Pauses>>>);

impl KnownPauses {
    /// Waits until shipping is not paused, and returns what else is at that moment: at once, if so. Nothing goes before this
    /// was read for the first time.
    ///
    /// Cancel-safe.
    pub(crate) async fn until_shipping(&mut self) -> Arc<Pauses> {
        let goes = |pauses: &Pauses| !pauses.is_shipping_paused(&DESTINATION.into());
        let known = self.0.wait_for(|pauses| pauses.as_deref().is_some_and(goes)).await;
        let pauses = known.ok().and_then(|pauses| pauses.clone());
        match pauses {
            Some(pauses) => pauses,
            // Nobody reads them any more: the worker ends.
            None => std::future::pending().await,
        }
    }

    /// Whether shipping is known to be paused: not before this was read for the first time.
    pub(crate) fn is_shipping_paused(&self) -> bool {
        self.0.borrow().as_deref().is_some_and(|pauses| pauses.is_shipping_paused(&DESTINATION.into()))
    }

    /// Whether a tenancy is known to be paused.
    pub(crate) fn is_tenancy_paused(&self, tenancy: TenancyId) -> bool {
        self.0.borrow().as_deref().is_some_and(|pauses| pauses.is_tenancy_paused(tenancy))
    }

    /// Waits until this was read for the first time.
    ///
    /// Cancel-safe.
    pub(crate) async fn until_known(&mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            // Nobody reads them any more: the worker ends.
            std::future::pending::<()>().await;
        }
    }

    /// Returns what else is paused, or `None` while shipping is.
    pub(crate) fn if_shipping(&self) -> Option<Arc<Pauses>> {
        self.if_shipping_to(&DESTINATION.into())
    }

    /// Returns what else is paused, or `None` while shipping to this destination is, or while that is not known yet.
    pub(crate) fn if_shipping_to(&self, destination: &DestinationId) -> Option<Arc<Pauses>> {
        self.0.borrow().clone().filter(|pauses| !pauses.is_shipping_paused(destination))
    }
}

/// Reads what is paused. While Postgres is away the last state stays: then nothing is read from it either.
pub(crate) struct ReadPauses {
    sender: watch::Sender<Option<Arc<Pauses>>>,
    /// Woken whenever something was resumed.
    resumed: Arc<Notify>,
}

impl ReadPauses {
    pub(crate) fn new(resumed: Arc<Notify>) -> (Self, KnownPauses) {
        let (sender, receiver) = watch::channel(None);
        (Self { sender, resumed }, KnownPauses(receiver))
    }
}

impl Task for ReadPauses {
    const NAME: &'static str = "pauses";
    const TIMEOUT: Duration = Duration::from_secs(15);
    type Session = Control;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<Control, SourceError> {
        source.connect_diesel(Session::Control).await
    }

    async fn run(&mut self, _: &Source, control: &mut Control) -> Result<Ran, SourceError> {
        let pauses = Pauses::read(control).await?;
        if self.sender.borrow().as_deref() == Some(&pauses) {
            return Ok(Ran::did(0, READ_EVERY));
        }
        let paused = pauses.is_shipping_paused(&DESTINATION.into());
        let (some_paused, resumed) = (pauses.is_some_part_paused(), pauses.resumed);
        tracing::info!(paused, some_paused, resumed, "what is paused has changed");
        if self.sender.send_replace(Some(Arc::new(pauses))).is_none_or(|before| before.resumed != resumed) {
            self.resumed.notify_one();
        }
        Ok(Ran::did(1, READ_EVERY))
    }
}
