//! A message that was delivered to a worker, and the two ways to settle it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lapin::Acker;
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lockstep_core::failpoint;
use lockstep_core::telemetry::Origin;
use tokio::time::timeout;

use crate::batch::{DecodeError, TenantBatch};
use crate::error::QueueError;
use crate::metrics::{self, Cause};
use crate::outbound::{ATTEMPT_HEADER, Outbound, Outgoing, origin};
use crate::topology::{AfterFailure, Topology};

/// For an acknowledgement to be written to the socket.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A batch to work on. Settle it with [`ack`](Self::ack) or [`retry`](Self::retry) while its
/// [`Consumer`](crate::Consumer) lives.
///
/// Dropped without that, it goes back to the queue and is delivered again at once, to this consumer or another, however
/// often that happens. Held for longer than the broker's consumer timeout (6 hours, half an hour before RabbitMQ 3.12, or
/// what its operator has set), the broker takes back everything that was not settled.
#[derive(Debug)]
pub struct Delivery {
    /// Who has changes.
    pub batch: TenantBatch,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    /// Whether it was delivered before and not settled then: some of its work may be done already.
    pub redelivered: bool,
    raw: RawDelivery,
}

/// What became of a message whose work failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retried {
    /// It is delivered again after this time.
    After(Duration),
    /// That was the last attempt: it is with the dead letters.
    GivenUp,
    /// The connection that it came over is gone: the broker delivers it again as the same attempt.
    Redelivered,
}

impl Delivery {
    /// Decodes the payload; hands the message back with the reason if it is no batch.
    pub(crate) fn decode(raw: RawDelivery) -> Result<Self, Box<(RawDelivery, DecodeError)>> {
        match TenantBatch::decode(&raw.payload) {
            Ok(batch) => Ok(Self { batch, attempt: raw.attempt, redelivered: raw.redelivered, raw }),
            Err(reason) => Err(Box::new((raw, reason))),
        }
    }

    /// The span that created the message, where it names one.
    pub const fn origin(&self) -> Option<&Origin> {
        self.raw.origin.as_ref()
    }

    /// The work is done and durable: the broker may forget the message.
    ///
    /// This cannot fail in a way that matters. If the connection is gone, or goes before the broker has heard it, the
    /// message is delivered again, which is harmless.
    ///
    /// Cancel-safe: cancelled, the message is either acknowledged or delivered again.
    pub async fn ack(self) {
        self.raw.ack().await;
    }

    /// The work failed: the message comes again after a delay that grows with the attempts, or goes to the dead letters
    /// after the last. `reason` is kept with it (at most 1,000 bytes): no tenant's values in it.
    ///
    /// Cancel-safe, except that a message may come twice.
    ///
    /// # Errors
    /// It could not be moved to a retry queue; it went back to the main queue and is delivered again at once. Wait a
    /// moment before taking more work.
    pub async fn retry(self, reason: &str) -> Result<Retried, QueueError> {
        let raw = self.raw;
        if !raw.acker.usable() {
            return Ok(Retried::Redelivered);
        }
        match raw.topology.after_failure(raw.attempt) {
            AfterFailure::Retry { queue, delay } => {
                raw.move_to(queue, raw.attempt.saturating_add(1), reason).await?;
                metrics::retried();
                Ok(Retried::After(delay))
            }
            AfterFailure::GiveUp => {
                raw.dead_letter(reason, Cause::Attempts).await?;
                Ok(Retried::GivenUp)
            }
        }
    }
}

/// A message that is not settled yet, whether or not its payload is a batch.
pub(crate) struct RawDelivery {
    acker: Acker,
    payload: Vec<u8>,
    attempt: u32,
    redelivered: bool,
    origin: Option<Origin>,
    outbound: Arc<Outbound>,
    topology: Arc<Topology>,
}

impl std::fmt::Debug for RawDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawDelivery").field("bytes", &self.payload.len()).finish_non_exhaustive()
    }
}

impl RawDelivery {
    pub(crate) fn new(message: Message, outbound: Arc<Outbound>, topology: Arc<Topology>) -> Self {
        Self {
            attempt: attempt(&message),
            origin: origin(&message.properties),
            redelivered: message.redelivered,
            acker: message.acker,
            payload: message.data,
            outbound,
            topology,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// Moves a message that is no batch to the dead letters. If that fails, the broker delivers it again, and it is moved
    /// then.
    pub(crate) async fn dead_letter_malformed(self, reason: String) {
        if let Err(error) = self.dead_letter(&reason, Cause::Garbage).await {
            tracing::warn!(%error, "a message that is no tenant batch could not be moved to the dead letters yet");
        }
    }

    async fn dead_letter(&self, reason: &str, cause: Cause) -> Result<(), QueueError> {
        self.move_to(self.topology.dead_queue(), self.attempt, reason).await?;
        metrics::dead_lettered(cause);
        Ok(())
    }

    /// Publishes a copy and, when that is confirmed, acknowledges the original: between the two there may be two
    /// messages, never none.
    async fn move_to(&self, queue: String, attempt: u32, reason: &str) -> Result<(), QueueError> {
        let copy =
            Outgoing { queue, payload: &self.payload, attempt, reason: Some(reason), origin: self.origin.as_ref() };
        self.outbound.send(&[copy]).await?;
        self.ack().await;
        Ok(())
    }

    async fn ack(&self) {
        failpoint!("queue::ack::before", return);
        let acknowledged = timeout(ACK_TIMEOUT, self.acker.ack(BasicAckOptions::default())).await;
        failpoint!("queue::ack::after", return);
        if !matches!(acknowledged, Ok(Ok(true))) {
            tracing::debug!("an acknowledgement did not reach RabbitMQ: the message will be delivered again");
        }
    }
}

impl Drop for RawDelivery {
    fn drop(&mut self) {
        if self.acker.usable() {
            // The first poll hands the command to the connection's own task; there is nothing to wait for.
            let _ = self.acker.reject(BasicRejectOptions { requeue: true }).now_or_never();
        }
    }
}

/// The attempt that the header counts; 1 when there is none or it makes no sense.
fn attempt(message: &Message) -> u32 {
    let headers = message.properties.headers().as_ref();
    let value =
        headers.and_then(|headers| headers.inner().get(ATTEMPT_HEADER)).and_then(|value| value.as_long_long_int());
    value.and_then(|value| u32::try_from(value).ok()).map_or(1, |attempt| attempt.max(1))
}
