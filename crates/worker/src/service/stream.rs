//! The stream: takes what is waiting, ships it, announces what is left, and only then lets the messages go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lockstep_core::SequenceId;
use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_destinations::Destination;
use lockstep_queue::{Consumer, Delivery, Publisher};
use tokio::time::timeout;

use crate::flush::{Failed, Flusher};
use crate::fusebox::Fusebox;
use crate::limits::Limits;
use crate::pace::finish_in_time;
use crate::plan::News;
use crate::routes::Routes;

/// Reasons that are written into a message that is put off.
const MAX_REASONS: usize = 3;

/// One worker's stream. One flush at a time: what arrives meanwhile gathers and becomes the next, so inserts grow with
/// the load and not their number.
pub(super) struct Stream<D> {
    consumer: Consumer,
    publisher: Arc<Publisher>,
    flusher: Flusher<D>,
    routes: Arc<Routes>,
    limits: Limits,
    fusebox: Fusebox,
    replica: ReplicaWait,
}

/// How long the replica is given to replay what was announced.
struct ReplicaWait {
    backoff: Backoff,
    /// The furthest that it was seen.
    head: SequenceId,
}

impl ReplicaWait {
    const fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));
        Self { backoff, head: SequenceId::BASE }
    }

    /// The next wait: small again whenever the replica has come further.
    fn next(&mut self, head: SequenceId) -> Duration {
        if head > self.head {
            self.head = head;
            self.backoff.reset();
        }
        self.backoff.next_wait()
    }
}

/// What came of a batch. Everything else of it is done.
#[derive(Default)]
struct Outcome {
    continued: News,
    failed: Vec<Failed>,
    /// The replica does not show their news yet.
    ahead: News,
    head: SequenceId,
}

impl<D: Destination + Clone + 'static> Stream<D> {
    pub(super) const fn new(
        consumer: Consumer,
        publisher: Arc<Publisher>,
        flusher: Flusher<D>,
        routes: Arc<Routes>,
        limits: Limits,
        fusebox: Fusebox,
    ) -> Self {
        Self { consumer, publisher, flusher, routes, limits, fusebox, replica: ReplicaWait::new() }
    }

    /// Works until `shutdown`; then the batch in hand is finished if that does not take too long. What is not finished
    /// goes back to the queue.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::for_connections();
        let every = self.limits.look_every;
        // While a fuse is blown nothing is taken: what the broker has sent ahead is as much as `prefetch_messages`.
        while shutdown.run_until_cancelled(self.fusebox.go()).await.is_some() {
            let Some(next) = shutdown.run_until_cancelled(timeout(every, self.consumer.next())).await else { break };
            match next {
                Ok(Ok(first)) => {
                    backoff.reset();
                    let within = self.limits.stop_within;
                    if finish_in_time(&shutdown, within, self.work(first, &shutdown)).await.is_none() {
                        tracing::warn!("stopping takes too long: what is in hand goes back to the queue");
                    }
                }
                Ok(Err(error)) => {
                    let wait = backoff.next_wait();
                    tracing::error!(%error, wait_ms = wait.as_millis(), "the queue gives no messages, asking again");
                    shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
                }
                // Nothing to do for a while: health should not be as old as the last flush.
                Err(_) => {
                    if let Some(Err(reason)) = shutdown.run_until_cancelled(self.flusher.look()).await {
                        tracing::warn!(reason, "source or destination does not answer");
                    }
                }
            }
        }
        self.consumer.close().await;
    }

    /// One batch: the first message and everything that is waiting behind it. Messages that this returns without
    /// settling go back to the queue.
    async fn work(&mut self, first: Delivery, shutdown: &Shutdown) {
        let (deliveries, news) = self.gather(first);
        let Some(outcome) = self.ship(news, shutdown).await else { return };
        if self.announce(&outcome.continued, shutdown).await && self.announce_ahead(&outcome, shutdown).await {
            self.settle(deliveries, &outcome.failed).await;
        }
    }

    fn gather(&mut self, first: Delivery) -> (Vec<Delivery>, News) {
        let mut news = News::default();
        news.add_batch(&first.batch, &self.routes);
        let mut deliveries = vec![first];
        while news.len() < self.limits.flush_tenancies
            && let Some(next) = self.consumer.try_next()
        {
            news.add_batch(&next.batch, &self.routes);
            deliveries.push(next);
        }
        (deliveries, news)
    }

    /// Flushes until everything is done, to be continued or to be put off. While source or destination are away that
    /// takes as long as it takes. None: it was time to stop before that.
    async fn ship(&mut self, mut left: News, shutdown: &Shutdown) -> Option<Outcome> {
        let mut outcome = Outcome::default();
        let mut backoff = Backoff::for_connections();
        let mut tries = 0;
        loop {
            // A fuse may have blown since the message was taken, or while the destination was away.
            let fuses = shutdown.run_until_cancelled(self.fusebox.go()).await?;
            if fuses.stop_something() {
                // The sweep finds it when it is let go on.
                left.retain(|tenancy, place| !self.routes.are_stopped(&fuses, tenancy, place));
                if left.is_empty() {
                    return Some(outcome);
                }
            }
            let flushed = self.flusher.flush(&left).await;
            outcome.continued.merge(&flushed.continued);
            outcome.failed.extend(flushed.failed);
            outcome.ahead.merge(&flushed.ahead);
            outcome.head = flushed.head;
            if flushed.held.is_empty() {
                return Some(outcome);
            }
            let progress = flushed.held.pairs() < left.pairs();
            let numbered = left;
            left = flushed.held;
            left.tenancies().to_vec().into_iter().for_each(|tenancy| left.raise(tenancy, numbered.numbered(tenancy)));
            let reason = flushed.hold_reason.unwrap_or_default();
            if progress {
                tries = 0;
                backoff.reset();
                continue;
            }
            // Where nothing answers, nothing is wrong with the work, however often it is tried.
            tries = if flushed.outage { 0 } else { tries + 1 };
            if tries == self.limits.tries_in_hand {
                outcome.failed.push(Failed { news: left, reason });
                return Some(outcome);
            }
            let wait = backoff.next_wait();
            tracing::warn!(reason, tenancies = left.len(), wait_ms = wait.as_millis(), "a batch is held, trying again");
            shutdown.run_until_cancelled(tokio::time::sleep(wait)).await?;
        }
    }

    /// Announces news again that the replica may not show yet, after it has had some time. Meanwhile nothing else is
    /// done: what comes now is further ahead. False: it was time to stop before the broker had confirmed it.
    async fn announce_ahead(&mut self, outcome: &Outcome, shutdown: &Shutdown) -> bool {
        if outcome.ahead.is_empty() {
            return true;
        }
        let wait = self.replica.next(outcome.head);
        let (head, tenancies, wait_ms) = (outcome.head, outcome.ahead.len(), wait.as_millis());
        if self.replica.backoff.attempts() > 1 {
            tracing::warn!(%head, tenancies, wait_ms, "the replica has not replayed what was announced, trying again");
        } else {
            tracing::debug!(%head, tenancies, wait_ms, "the replica has not replayed what was announced, trying again");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return false;
        }
        self.announce(&outcome.ahead, shutdown).await
    }

    /// Announces pages that are still to come, so that they alternate with other work (FAIR-1). False: it was time to
    /// stop before the broker had confirmed it.
    async fn announce(&self, continued: &News, shutdown: &Shutdown) -> bool {
        if continued.is_empty() {
            return true;
        }
        let batch = continued.to_batch(&self.routes);
        let mut backoff = Backoff::for_connections();
        while let Err(error) = self.publisher.publish(std::slice::from_ref(&batch)).await {
            let wait = backoff.next_wait();
            tracing::warn!(%error, wait_ms = wait.as_millis(), "further pages cannot be announced, trying again");
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return false;
            }
        }
        true
    }

    /// Lets messages go: those of which nothing failed for good, the others come again later.
    async fn settle(&self, deliveries: Vec<Delivery>, failed: &[Failed]) {
        for delivery in deliveries {
            let reasons: BTreeSet<_> = failed
                .iter()
                .filter(|failed| failed.news.touches(&delivery.batch, &self.routes))
                .map(|failed| failed.reason.as_str())
                .take(MAX_REASONS)
                .collect();
            if reasons.is_empty() {
                delivery.ack().await;
                continue;
            }
            let reason = reasons.into_iter().collect::<Vec<_>>().join("; ");
            let attempt = delivery.attempt;
            match delivery.retry(&reason).await {
                Ok(retried) => tracing::warn!(reason, attempt, ?retried, "a message is put off"),
                Err(error) => {
                    tracing::warn!(%error, "a message could not be put off and comes again at once");
                    tokio::time::sleep(Backoff::for_connections().next_wait()).await;
                }
            }
        }
    }
}
