//! The worker's side: takes what is waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::message::Delivery as Message;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lockstep_core::health::Health;
use lockstep_core::secret::SecretUrl;
use tokio::time::timeout;

use crate::declare::{declare, short_name};
use crate::delivery::{Delivery, RawDelivery};
use crate::endpoint::Endpoint;
use crate::error::QueueError;
use crate::link::{self, Link};
use crate::metrics;
use crate::outbound::{Outbound, PublishPlan};
use crate::reconnecting::{Reconnecting, Session};
use crate::topology::Topology;

/// For subscribing.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long this consumer may hold a message unsettled before the broker takes it back: longer than any work takes. Servers
/// have half an hour by default. RabbitMQ 3.11 and older pass the argument over, and operators can set less: nothing may
/// depend on it but how often a connection breaks.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Receives batches. Reconnects by itself; what was not acknowledged by then is delivered again.
pub struct Consumer {
    session: Reconnecting<ConsumeSession>,
    outbound: Arc<Outbound>,
    topology: Arc<Topology>,
}

#[derive(Clone)]
struct ConsumePlan {
    endpoint: Endpoint,
    topology: Arc<Topology>,
    prefetch: u16,
}

struct ConsumeSession {
    link: Link<Subscription>,
}

struct Subscription {
    channel: Channel,
    messages: lapin::Consumer,
}

impl Session for ConsumeSession {
    type Plan = ConsumePlan;

    fn endpoint(plan: &ConsumePlan) -> &Endpoint {
        &plan.endpoint
    }

    async fn open(plan: &ConsumePlan) -> Result<Self, QueueError> {
        let link = link::open(&plan.endpoint).await?;
        let channel = link.work();
        declare(&plan.endpoint, channel, &plan.topology).await?;
        let queue = short_name(&plan.topology.main_queue())?;
        let subscribing = async {
            channel.basic_qos(plan.prefetch, BasicQosOptions::default()).await?;
            channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), arguments()).await
        };
        let messages = timeout(SUBSCRIBE_TIMEOUT, subscribing)
            .await
            .map_err(|_| plan.endpoint.timeout("subscribing", SUBSCRIBE_TIMEOUT))?
            .map_err(|error| plan.endpoint.client_error(&error))?;
        Ok(Self { link: link.attach(|channel| Subscription { channel, messages }) })
    }

    fn broken(&self) -> Option<&'static str> {
        let open = self.link.is_open() && self.link.work().channel.status().connected();
        (!open).then_some("the connection was closed")
    }
}

/// The arguments of <https://www.rabbitmq.com/docs/consumers>.
fn arguments() -> FieldTable {
    let timeout_ms = i64::try_from(CONSUMER_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    let mut table = FieldTable::default();
    table.insert("x-consumer-timeout".into(), AMQPValue::LongLongInt(timeout_ms));
    table
}

impl Consumer {
    /// Connects, declares the queues and subscribes, for as long as it takes; each attempt that fails is logged.
    ///
    /// At most `prefetch` messages (at least 1) are delivered and not yet settled: together with the limits of a message
    /// this bounds memory, and it is how many messages can be merged.
    ///
    /// Cancel-safe: nothing stays behind.
    ///
    /// # Errors
    /// Only what waiting does not mend, as with [`Publisher::connect`](crate::Publisher::connect).
    pub async fn connect(
        url: &SecretUrl,
        ca: Option<&Path>,
        topology: &Topology,
        prefetch: u16,
    ) -> Result<Self, QueueError> {
        Self::connect_telling(url, ca, topology, prefetch, None).await
    }

    /// The same, and lets `health` know, as part `queue`, why there is no connection yet, when it breaks and when it is back.
    ///
    /// # Errors
    /// As [`Consumer::connect`].
    pub async fn connect_telling(
        url: &SecretUrl,
        ca: Option<&Path>,
        topology: &Topology,
        prefetch: u16,
        health: Option<Health>,
    ) -> Result<Self, QueueError> {
        metrics::describe();
        let topology = Arc::new(topology.clone());
        let endpoint =
            Endpoint { url: url.clone(), tls_ca_file: ca.map(PathBuf::from), connection_name: "lockstep-consumer" };
        // 0 would mean "no limit" to the broker.
        let plan = ConsumePlan { endpoint, topology: Arc::clone(&topology), prefetch: prefetch.max(1) };
        let outbound = Arc::new(Outbound::new(PublishPlan::new(url, ca, &topology)));
        let mut session = Reconnecting::new(plan);
        if let Some(health) = health {
            session.report_to(health);
        }
        session.ready().await?;
        Ok(Self { session, outbound, topology })
    }

    /// The next batch. Waits for it, and for the broker to come back if it went away.
    ///
    /// Cancel-safe: a message is taken only in the moment in which this returns it, and reconnecting goes on without the
    /// caller.
    ///
    /// # Errors
    /// Only what waiting does not mend: queues that meanwhile exist with other arguments, settings or certificates that
    /// became unreadable. Calling again tries again.
    pub async fn next(&mut self) -> Result<Delivery, QueueError> {
        loop {
            match self.session.ready().await?.link.work_mut().messages.next().await {
                Some(Ok(message)) => {
                    if let Some(delivery) = self.decode(message) {
                        return Ok(delivery);
                    }
                }
                Some(Err(error)) => self.session.lost(&error),
                None => self.session.lost(&"the subscription was cancelled, as when the queue is deleted"),
            }
        }
    }

    /// One batch that has arrived already, if there is any. Never waits.
    pub fn try_next(&mut self) -> Option<Delivery> {
        loop {
            // A broken session is left for `next` to replace.
            let arrived = self.session.current()?.link.work_mut().messages.next().now_or_never();
            let Some(Some(Ok(message))) = arrived else { return None };
            if let Some(delivery) = self.decode(message) {
                return Some(delivery);
            }
        }
    }

    /// Gives everything back that was delivered and not settled, for other consumers to take, and holds nothing until the
    /// next call of [`next`](Self::next), which subscribes again. Does nothing where nothing is held.
    ///
    /// Deliveries that are still alive can be settled as before, which has no effect any more.
    pub async fn give_back(&mut self) {
        if let Some(session) = self.session.release() {
            session.link.close().await;
        }
    }

    /// Decodes a message. One that is no batch is sent to the dead letters in the background.
    fn decode(&self, message: Message) -> Option<Delivery> {
        let raw = RawDelivery::new(message, Arc::clone(&self.outbound), Arc::clone(&self.topology));
        match Delivery::decode(raw) {
            Ok(delivery) => {
                metrics::delivered();
                Some(delivery)
            }
            Err(malformed) => {
                let (raw, reason) = *malformed;
                let bytes = raw.bytes();
                tracing::warn!(%reason, bytes, "a message is no tenant batch: it goes to the dead letters");
                tokio::spawn(raw.dead_letter_malformed(reason.to_string()));
                None
            }
        }
    }

    /// Stops consuming and closes the connection: the broker delivers again what was not acknowledged. Dropping the
    /// consumer does the same in the background.
    pub async fn close(self) {
        let Self { session, outbound, .. } = self;
        if let Some(session) = session.into_session() {
            session.link.close().await;
        }
        // A delivery that is still alive keeps the other connection; the last one closes it.
        if let Some(outbound) = Arc::into_inner(outbound) {
            outbound.close().await;
        }
    }
}
