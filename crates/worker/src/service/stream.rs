//! The stream: takes what is waiting, ships it, announces what is left, and only then lets the messages go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use lockstep_core::freshness;
use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::{Shutdown, finish_in_time};
use lockstep_core::telemetry::{Kind, Server, Span, going_on};
use lockstep_destinations::Destination;
use lockstep_queue::{Consumer, Delivery, Publisher, QueueError};
use lockstep_schema::pauses::Pauses;
use tokio::time::timeout;

use super::merge_pace::MergePace;
use super::put_offs::PutOffs;
use super::unacknowledged::{MovingBatches, ShippedBatch, Unacknowledged};
use crate::flush::{CursorsMove, Failed, Flushed, Flusher};
use crate::hints::Hints;
use crate::shared::Shared;
use crate::tenants::News;

/// Reasons that are written into a message that is put off.
const MAX_REASONS: usize = 3;

/// After so long other workers are told of what this one knows another definition of. Meanwhile it leaves messages to them.
const FOREIGN_WAIT: Duration = Duration::from_secs(1);

/// How often an idle worker looks whether source and destination answer, while one of them does not.
const AWAY_LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long cursors that are not written yet may take after the batch in hand has ended, when it is time to stop.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(5);

/// One worker's stream. One flush at a time: what arrives meanwhile gathers and becomes the next, so inserts grow with
/// the load and not their number.
pub(super) struct Stream<D> {
    pub(super) shared: Shared<D>,
    pub(super) consumer: Consumer,
    pub(super) publisher: Arc<Publisher>,
    pub(super) flusher: Flusher<D>,
    pub(super) news: News,
    /// Shipped batches whose cursors have not moved yet.
    pub(super) unacknowledged: Unacknowledged,
    pub(super) put_offs: PutOffs,
}

/// What a stream waits for.
enum Next {
    /// A message, or why there is none.
    Message(Result<Delivery, QueueError>),
    /// Cursors can be written, or are.
    Cursors,
    /// There was no message for some time.
    Nothing,
}

impl<D: Destination> Stream<D> {
    /// Works until `shutdown`; then the batch in hand is finished if that does not take too long. What is not finished
    /// goes back to the queue.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let (pace, destination) = (MergePace::default(), self.shared.destination.clone());
        tokio::join!(self.take_batches(&pace, &shutdown), pace.watch(&destination, &shutdown));
        if finish_in_time(&shutdown, ACKNOWLEDGE_WITHIN, self.acknowledge_all(&shutdown)).await.is_none() {
            tracing::warn!("stopping takes too long: what is in hand goes back to the queue");
        }
        self.consumer.close().await;
    }

    async fn take_batches(&mut self, pace: &MergePace, shutdown: &Shutdown) {
        let mut backoff = Backoff::for_connections();
        let within = self.shared.limits.stop_within;
        loop {
            if self.shared.pauses.is_shipping_paused() {
                // Its rows are written; what is left of it is no reason to hold its messages.
                finish_in_time(shutdown, within, self.acknowledge_all(shutdown)).await;
            }
            if shutdown.run_until_cancelled(self.until_shipping()).await.is_none() {
                break;
            }
            // What did not answer is asked again soon: others are told of it until it does.
            let look_every = self.shared.limits.look_every;
            let every = if self.flusher.is_answered() { look_every } else { look_every.min(AWAY_LOOK_EVERY) };
            let Some(next) = shutdown.run_until_cancelled(self.next(every)).await else { break };
            match next {
                Next::Message(Ok(first)) => {
                    backoff.reset();
                    if pace.wait(shutdown).await.is_none() {
                        break;
                    }
                    if finish_in_time(shutdown, within, self.work(first, shutdown)).await.is_none() {
                        tracing::warn!("stopping takes too long: what is in hand goes back to the queue");
                    }
                }
                Next::Message(Err(error)) => {
                    let wait = backoff.next_wait();
                    tracing::error!(%error, wait_ms = wait.as_millis(), "the queue gives no messages, asking again");
                    shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
                }
                Next::Cursors => drop(finish_in_time(shutdown, within, self.move_cursors(shutdown)).await),
                // Nothing to do for a while: health should not be as old as the last flush.
                Next::Nothing => {
                    if let Some(Err(reason)) = shutdown.run_until_cancelled(self.flusher.check()).await {
                        tracing::warn!(reason, "source or destination does not answer");
                    }
                }
            }
        }
    }

    /// Waits until shipping is not paused, and returns what else is. Meanwhile no message is held: a broker takes back what is
    /// held for too long, and counts that against the message.
    async fn until_shipping(&mut self) -> Arc<Pauses> {
        self.shared.pauses.until_known().await;
        if self.shared.pauses.is_shipping_paused() {
            self.consumer.give_back().await;
        }
        self.shared.pauses.until_shipping().await
    }

    /// What is to be done next. May be dropped, and called again.
    async fn next(&mut self, every: Duration) -> Next {
        if self.unacknowledged.is_empty() {
            return timeout(every, self.consumer.next()).await.map_or(Next::Nothing, Next::Message);
        }
        tokio::select! {
            biased;
            next = self.consumer.next() => Next::Message(next),
            () = self.unacknowledged.until_ready() => Next::Cursors,
        }
    }

    /// Lets go what a write of cursors has ended for, and begins the next write where that is due.
    async fn move_cursors(&mut self, shutdown: &Shutdown) {
        if let Some(moved) = self.unacknowledged.take_ended() {
            self.acknowledge_moved(moved, shutdown).await;
        }
        let flusher = &self.flusher;
        self.unacknowledged
            .begin_write(self.shared.limits.cursor_write_every, |moves| flusher.begin_cursor_write(moves));
    }

    /// Waits until all cursors have moved, and lets all messages go.
    async fn acknowledge_all(&mut self, shutdown: &Shutdown) {
        while !self.unacknowledged.is_empty() {
            self.unacknowledged.hurry();
            self.move_cursors(shutdown).await;
            self.unacknowledged.until_ready().await;
        }
    }

    /// Lets the messages of these batches go. Where their cursors did not move they are shipped again.
    async fn acknowledge_moved(&mut self, MovingBatches { batches, write }: MovingBatches, shutdown: &Shutdown) {
        let mut failed_again = Vec::new();
        if let Err(error) = self.flusher.wait_for_cursors(write).await {
            let mut hints = Hints::default();
            batches.iter().for_each(|batch| hints.merge(&batch.hints));
            tracing::warn!(%error, tenancies = hints.len(), "cursors were not moved: their rows are shipped again");
            let Some(again) = self.ship_and_announce(&hints, CursorsMove::Now, shutdown).await else { return };
            failed_again = again.failed;
        }
        for ShippedBatch { deliveries, mut failed, origin, .. } in batches {
            failed.extend(failed_again.iter().cloned());
            going_on(origin, self.acknowledge(deliveries, &failed)).await;
        }
    }

    /// One batch: the first message and everything that is waiting behind it. Messages that this returns without
    /// acknowledging them go back to the queue.
    async fn work(&mut self, first: Delivery, shutdown: &Shutdown) {
        let (deliveries, hints) = self.gather(first);
        tracing::debug!(messages = deliveries.len(), tenancies = hints.len(), up_to = %hints.furthest(), "messages are taken");
        self.news.tell(&hints);
        let span = flush_span(&deliveries, &hints);
        let shipping = self.ship_and_announce(&hints, CursorsMove::Meanwhile, shutdown);
        let shipped = span.around(shipping).await;
        if let Some(flushed) = &shipped {
            span.count("lockstep.rows", flushed.rows);
            span.set("lockstep.snapshot_sequence", flushed.head.get());
            if !flushed.failed.is_empty() {
                span.failed("some");
            }
        }
        let origin = span.origin();
        drop(span);
        match shipped {
            Some(Flushed { failed, cursors: Some(cursors), .. }) => {
                self.unacknowledged.add(ShippedBatch { deliveries, hints, failed, origin }, cursors);
            }
            Some(Flushed { failed, .. }) => going_on(origin, self.acknowledge(deliveries, &failed)).await,
            None => {}
        }
        self.move_cursors(shutdown).await;
        while self.unacknowledged.is_full() {
            self.unacknowledged.until_ready().await;
            self.move_cursors(shutdown).await;
        }
    }

    fn gather(&mut self, first: Delivery) -> (Vec<Delivery>, Hints) {
        let mut hints = Hints::default();
        hints.add_batch(&first.batch, &self.shared.mappings);
        let mut deliveries = vec![first];
        while hints.len() < self.shared.limits.flush_tenancies
            && let Some(next) = self.consumer.try_next()
        {
            hints.add_batch(&next.batch, &self.shared.mappings);
            deliveries.push(next);
        }
        (deliveries, hints)
    }

    /// Ships, and announces what is left: pages that are still to come, so that they alternate with other work (FAIR-1);
    /// and what the replica may not show yet, after it has had some time. Meanwhile nothing else is done: what comes now is
    /// further ahead. Returns `None` where it was time to stop before that.
    async fn ship_and_announce(&mut self, hints: &Hints, cursors: CursorsMove, shutdown: &Shutdown) -> Option<Flushed> {
        let mut flushed = self.ship(hints.clone(), cursors, shutdown).await?;
        self.note_lag(hints, &flushed);
        for left in [&mut flushed.more, &mut flushed.behind, &mut flushed.foreign] {
            left.note_times_of(hints);
        }
        self.announce(&flushed.more, shutdown).await?;
        if !flushed.behind.is_empty() {
            let wait = self.flusher.replica_wait(&flushed);
            shutdown.run_until_cancelled(tokio::time::sleep(wait)).await?;
            self.announce(&flushed.behind, shutdown).await?;
        }
        if !flushed.foreign.is_empty() {
            shutdown.run_until_cancelled(tokio::time::sleep(FOREIGN_WAIT)).await?;
            self.announce(&flushed.foreign, shutdown).await?;
        }
        Some(flushed)
    }

    /// Rows are visible before their cursors move.
    fn note_lag(&self, hints: &Hints, flushed: &Flushed) {
        let mut left = vec![&flushed.more, &flushed.behind, &flushed.foreign, &flushed.paused];
        left.extend(flushed.failed.iter().map(|failed| &failed.hints));
        let destination = self.shared.destination.id().to_string();
        for (times, tenancies) in hints.times_without(&left) {
            freshness::visible(&destination, times, tenancies);
        }
    }

    /// Flushes until nothing is to be tried again. While source or destination are away that takes as long as it takes, and
    /// after some time the messages go back to the queue: another worker may get them through. Returns `None` where it was time to stop before that.
    async fn ship(&mut self, mut left: Hints, cursors: CursorsMove, shutdown: &Shutdown) -> Option<Flushed> {
        let mut shipped = Flushed::default();
        let mut backoff = Backoff::for_connections();
        let mut tries = 0;
        let mut last_progress = Instant::now();
        loop {
            // Something may have been paused since the message was taken, or while the destination was away.
            let pauses = shutdown.run_until_cancelled(self.until_shipping()).await?;
            if pauses.is_some_part_paused() {
                let is_paused = |tenancy, mapping| self.shared.mappings.are_paused(&pauses, tenancy, mapping);
                let mut paused = left.clone();
                paused.retain(is_paused);
                shipped.paused.merge(&paused);
                left.retain(|tenancy, mapping| !is_paused(tenancy, mapping));
                if left.is_empty() {
                    return Some(shipped);
                }
            }
            // A flush is a large future, and this one is deep: it need not be part of this.
            shipped.continue_with(self.flusher.flush_with(&left, cursors).boxed().await);
            let is_progress = shipped.retry.pairs() < left.pairs();
            left = std::mem::take(&mut shipped.retry);
            if left.is_empty() {
                return Some(shipped);
            }
            if is_progress {
                tries = 0;
                last_progress = Instant::now();
                backoff.reset();
                continue;
            }
            // Where nothing answers, nothing is wrong with the work, however often it is tried.
            tries = if shipped.outage { 0 } else { tries + 1 };
            let reason = shipped.retry_reason.take().unwrap_or_default();
            if tries == self.shared.limits.tries_in_hand {
                shipped.failed.push(Failed { hints: left, reason });
                return Some(shipped);
            }
            // Where something answers, tries are limited: the message is put off.
            if shipped.outage && last_progress.elapsed() >= self.shared.limits.give_back_after {
                self.consumer.give_back().await;
            }
            let wait = backoff.next_wait();
            let (tenancies, wait_ms) = (left.len(), wait.as_millis());
            tracing::warn!(reason, tenancies, wait_ms, "a batch did not get through, trying again");
            shutdown.run_until_cancelled(tokio::time::sleep(wait)).await?;
        }
    }

    /// Publishes hints. Returns `None` where it was time to stop before the broker had confirmed it.
    async fn announce(&self, hints: &Hints, shutdown: &Shutdown) -> Option<()> {
        if hints.is_empty() {
            return Some(());
        }
        let batch = hints.to_batch(&self.shared.mappings);
        let mut backoff = Backoff::for_connections();
        while let Err(error) = self.publisher.publish(std::slice::from_ref(&batch)).await {
            let wait = backoff.next_wait();
            tracing::warn!(%error, wait_ms = wait.as_millis(), "further pages cannot be announced, trying again");
            shutdown.run_until_cancelled(tokio::time::sleep(wait)).await?;
        }
        Some(())
    }

    /// Lets messages go: those of which nothing failed for good, the others come again later.
    async fn acknowledge(&self, deliveries: Vec<Delivery>, failed: &[Failed]) {
        let span = Span::part(Kind::Client, || "ack".to_owned());
        span.asks(Server::RabbitMq);
        span.set("messaging.operation.name", "ack");
        span.set("messaging.operation.type", "settle");
        span.count("messaging.batch.message_count", deliveries.len());
        for delivery in deliveries {
            let of_it = || failed.iter().filter(|failed| failed.hints.touches(&delivery.batch, &self.shared.mappings));
            let reasons: BTreeSet<_> = of_it().map(|failed| failed.reason.as_str()).take(MAX_REASONS).collect();
            if reasons.is_empty() {
                delivery.ack().await;
                continue;
            }
            of_it().for_each(|failed| self.put_offs.note(delivery.attempt, &failed.reason, failed.hints.furthest()));
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

/// Messages are merged, so a flush has no parent: it is linked to whatever created each of them.
fn flush_span(deliveries: &[Delivery], hints: &Hints) -> Span {
    let origins = || deliveries.iter().filter_map(Delivery::origin);
    let span = Span::linked(origins(), Kind::Consumer, || "worker.flush".to_owned());
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.name", "process");
    span.set("messaging.operation.type", "process");
    span.count("messaging.batch.message_count", deliveries.len());
    span.count("lockstep.linked_messages", origins().count());
    span.count("lockstep.tenants", hints.len());
    span
}
