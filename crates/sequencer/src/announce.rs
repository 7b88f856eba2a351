//! The announcer: tells the workers which tenancies have news, and forgets what the broker has confirmed (OUT-1).
//!
//! It works beside the stamping, never in its way. While the broker is away the outbox keeps the news: one row for each
//! tenancy at most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_core::{TenancyId, failpoint};
use lockstep_queue::{Publisher, QueueError, TenantBatch, Topology};
use lockstep_schema::{Source, SourceError};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::figures;
use crate::storage::outbox::{Entry, Outbox};

/// Tenancies in one message.
const PAGE: usize = 1_000;

/// For a page to be read or deleted.
const OUTBOX_TIMEOUT: Duration = Duration::from_secs(40);

/// How long a sequencer that stops goes on announcing. What is left then is announced by the next leader.
const FAREWELL: Duration = Duration::from_secs(5);

/// What others use to speak to the announcer.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    /// There is news in the outbox.
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Queue(#[from] QueueError),
}

/// Publishes what is in the outbox whenever the bell rings and this sequencer leads.
pub(crate) struct Announcer {
    source: Source,
    settings: Settings,
    health: Health,
    bell: Bell,
    leading: watch::Receiver<bool>,
    outbox: Option<Outbox>,
}

impl Announcer {
    pub(crate) const fn new(
        source: Source,
        settings: Settings,
        health: Health,
        bell: Bell,
        leading: watch::Receiver<bool>,
    ) -> Self {
        Self { source, settings, health, bell, leading, outbox: None }
    }

    /// Works until `stop`, then announces what is left if that goes quickly.
    ///
    /// # Errors
    /// When the first connection to the broker is refused for a reason that waiting does not mend.
    pub(crate) async fn run(mut self, stop: Shutdown) -> Result<(), QueueError> {
        self.health.not_ready("queue", "not connected yet");
        let topology = Topology::new(self.settings.queue_prefix.clone());
        let url = self.settings.amqp_url.clone();
        let ca = self.settings.tls_ca_file.clone();
        let connecting = Publisher::connect(&url, ca.as_deref(), &topology);
        let Some(publisher) = stop.run_until_cancelled(connecting).await else { return Ok(()) };
        let publisher = publisher?.with_health(self.health.clone());
        stop.run_until_cancelled(self.answer_the_bell(&publisher)).await;
        let leads = *self.leading.borrow();
        if leads && !matches!(timeout(FAREWELL, self.round(&publisher)).await, Ok(Ok(()))) {
            tracing::info!("some news stay in the outbox; the next leader announces them");
        }
        publisher.close().await;
        Ok(())
    }

    async fn answer_the_bell(&mut self, publisher: &Publisher) {
        let mut backoff = Backoff::for_connections();
        loop {
            self.bell.0.notified().await;
            while *self.leading.borrow() {
                let Err(error) = self.round(publisher).await else {
                    backoff.reset();
                    break;
                };
                let wait = backoff.next_wait();
                let wait_ms = wait.as_millis();
                tracing::warn!(attempt = backoff.attempts(), wait_ms, %error, "news cannot be announced, trying again");
                if let RoundError::Queue(error) = &error {
                    self.health.not_ready("queue", error.to_string());
                }
                sleep(wait).await;
            }
        }
    }

    /// Announces everything that is in the outbox now.
    async fn round(&mut self, publisher: &Publisher) -> Result<(), RoundError> {
        let outbox = match self.outbox.take() {
            Some(outbox) => outbox,
            None => within(Outbox::open(&self.source)).await?,
        };
        let mut after = TenancyId::new(Uuid::nil());
        loop {
            let began = Instant::now();
            let page = within(outbox.page(after, i64::try_from(PAGE).unwrap_or(i64::MAX))).await?;
            let Some(last) = page.last() else { break };
            after = last.news.tenancy;
            publisher.publish(&[batch(&page)]).await?;
            figures::published(began.elapsed());
            self.health.ready("queue");
            failpoint!("sequencer::outbox_delete::before", return Err(SourceError::Timeout(OUTBOX_TIMEOUT).into()));
            within(outbox.delete(&page)).await?;
            failpoint!("sequencer::outbox_delete::after", return Err(SourceError::Timeout(OUTBOX_TIMEOUT).into()));
            if page.len() < PAGE {
                break;
            }
        }
        // Kept only after everything went well: a connection in an unknown state is not used again.
        self.outbox = Some(outbox);
        Ok(())
    }
}

fn batch(page: &[Entry]) -> TenantBatch {
    page.iter().map(|entry| entry.news.clone()).collect()
}

async fn within<T>(asking: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    timeout(OUTBOX_TIMEOUT, asking).await.unwrap_or(Err(SourceError::Timeout(OUTBOX_TIMEOUT)))
}
