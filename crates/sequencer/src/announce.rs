//! The announcer: tells the workers whose rows have changed, and writes down what the broker has confirmed (OUT-1).
//!
//! It works beside the passes, never in their way. While the broker is away nothing piles up but the changes themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lockstep_core::failpoint;
use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_core::telemetry::going_on;
use lockstep_mappings::MappingSet;
use lockstep_queue::{Publisher, QueueError, TenantBatch, Topology};
use lockstep_schema::{Source, SourceError, within};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::error::SequencerError;
use crate::metrics;
use crate::plan::stamps::Stamps;
use crate::storage::announcements::Announcements;

/// Tenancies in one message.
const MESSAGE_TENANCIES: usize = 1_000;

/// For a page to be read or written down.
const PAGE_TIMEOUT: Duration = Duration::from_secs(40);

/// How long a sequencer that stops goes on announcing. What is left then is announced by the next leader.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Announces changes whenever it is woken and this sequencer leads.
pub(crate) struct Announcer {
    pub(crate) source: Source,
    pub(crate) settings: Settings,
    pub(crate) health: Health,
    /// There are changes to announce.
    pub(crate) wake: Arc<Notify>,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) mappings: Arc<MappingSet>,
    /// When passes gave out their numbers.
    pub(crate) stamps: Arc<Mutex<Stamps>>,
    pub(crate) open: Option<Announcements>,
}

impl Announcer {
    /// Works until `stop`, then announces what is left if that goes quickly.
    ///
    /// # Errors
    /// When the first connection to the broker is refused for a reason that waiting does not mend.
    pub(crate) async fn run(mut self, stop: Shutdown) -> Result<(), QueueError> {
        let topology = Topology::new(self.settings.queue_prefix.clone());
        let url = self.settings.amqp_url.clone();
        let ca = self.settings.tls_ca_file.clone();
        let connecting = Publisher::connect_telling(&url, ca.as_deref(), &topology, Some(self.health.clone()));
        let Some(publisher) = stop.run_until_cancelled(connecting).await else { return Ok(()) };
        let publisher = publisher?;
        stop.run_until_cancelled(self.announce_when_woken(&publisher)).await;
        let leads = *self.leading.borrow();
        if leads && !matches!(timeout(STOP_TIMEOUT, self.round(&publisher)).await, Ok(Ok(()))) {
            tracing::info!("some changes are not announced; the next leader does it");
        }
        publisher.close().await;
        Ok(())
    }

    async fn announce_when_woken(&mut self, publisher: &Publisher) {
        let mut backoff = Backoff::for_connections();
        loop {
            self.wake.notified().await;
            // Another may have announced since this one last led.
            self.open = self.open.take().filter(|_| *self.leading.borrow());
            while *self.leading.borrow() {
                let Err(error) = self.round(publisher).await else {
                    backoff.reset();
                    break;
                };
                let wait = backoff.next_wait();
                let wait_ms = wait.as_millis();
                tracing::warn!(attempt = backoff.attempts(), wait_ms, %error, "changes cannot be announced, trying again");
                if let SequencerError::Queue(error) = &error {
                    self.health.not_ready("queue", error.to_string());
                }
                sleep(wait).await;
            }
        }
    }

    async fn open(&self) -> Result<Announcements, SourceError> {
        let announcements = Announcements::open(&self.source, &self.mappings).await?;
        let passes = announcements.unannounced_passes().await?;
        self.stamps().add_older(passes);
        Ok(announcements)
    }

    fn stamps(&self) -> MutexGuard<'_, Stamps> {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces everything that has its number now.
    async fn round(&mut self, publisher: &Publisher) -> Result<(), SequencerError> {
        let mut announcements = match self.open.take() {
            Some(announcements) => announcements,
            None => within(PAGE_TIMEOUT, self.open()).await?,
        };
        loop {
            let began = Instant::now();
            let Some(mut page) = within(PAGE_TIMEOUT, announcements.next()).await? else { break };
            // Those of the first change of all: one of another tenancy may look later than it is.
            let (times, origin) = {
                let mut stamps = self.stamps();
                (stamps.first_above(announcements.announced()), stamps.first_origin())
            };
            page.hints.iter_mut().for_each(|hint| hint.times = times);
            tracing::debug!(up_to = %page.up_to, tenancies = page.hints.len(), "changes are announced");
            let batches: Vec<TenantBatch> =
                page.hints.chunks(MESSAGE_TENANCIES).map(|hints| hints.iter().cloned().collect()).collect();
            if !batches.is_empty() {
                going_on(origin, publisher.publish(&batches)).await?;
            }
            metrics::published(began.elapsed());
            self.health.ready("queue");
            failpoint!("sequencer::announced::before", return Err(SourceError::Timeout(PAGE_TIMEOUT).into()));
            within(PAGE_TIMEOUT, announcements.done(page.up_to)).await?;
            failpoint!("sequencer::announced::after", return Err(SourceError::Timeout(PAGE_TIMEOUT).into()));
        }
        // Kept only after everything went well: a connection in an unknown state is not used again.
        self.open = Some(announcements);
        Ok(())
    }
}
