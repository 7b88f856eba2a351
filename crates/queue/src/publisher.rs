//! The sequencer's side: announces tenancies that have changes.

use std::path::Path;

use lockstep_core::health::Health;
use lockstep_core::secret::SecretUrl;
use lockstep_core::telemetry::{Kind, Server, Span};

use crate::batch::TenantBatch;
use crate::error::QueueError;
use crate::metrics;
use crate::outbound::{Outbound, Outgoing, PublishPlan};
use crate::topology::Topology;

/// Publishes batches and knows that they arrived. Reconnects by itself.
pub struct Publisher {
    outbound: Outbound,
    queue: String,
}

impl Publisher {
    /// Connects and declares the queues, for as long as it takes; each attempt that fails is logged.
    ///
    /// Cancel-safe: nothing stays behind.
    ///
    /// # Errors
    /// Only what waiting does not mend ([`QueueError::is_retryable`] is false): a wrong address, refused access,
    /// certificates that cannot be read, queues that exist with other arguments.
    pub async fn connect(url: &SecretUrl, ca: Option<&Path>, topology: &Topology) -> Result<Self, QueueError> {
        Self::connect_telling(url, ca, topology, None).await
    }

    /// The same, and lets `health` know, as part `queue`, why there is no connection yet, when it breaks and when it is back.
    ///
    /// # Errors
    /// As [`Publisher::connect`].
    pub async fn connect_telling(
        url: &SecretUrl,
        ca: Option<&Path>,
        topology: &Topology,
        health: Option<Health>,
    ) -> Result<Self, QueueError> {
        metrics::describe();
        let mut outbound = Outbound::new(PublishPlan::new(url, ca, topology));
        if let Some(health) = health {
            outbound.session_mut().report_to(health);
        }
        outbound.connect().await?;
        Ok(Self { outbound, queue: topology.main_queue() })
    }

    /// Publishes all batches and returns when the broker has confirmed every message. Batches above the limits of one
    /// message are split; empty ones are left out. Concurrent calls take turns.
    ///
    /// While the broker is away this waits for the connection and publishes again what was not confirmed, 10 seconds at
    /// most for each 128 messages; the connecting itself goes on in the background.
    ///
    /// Cancel-safe in the sense that matters here: messages may have been published or not, and publishing them again is
    /// harmless.
    ///
    /// # Errors
    /// Not every message is known to have arrived: publish all of them again, at once or later. If
    /// [`QueueError::is_retryable`] is false, somebody has to change something first.
    pub async fn publish(&self, batches: &[TenantBatch]) -> Result<(), QueueError> {
        let payloads: Vec<Vec<u8>> = batches.iter().flat_map(TenantBatch::encode).collect();
        let span = Span::begin(Kind::Producer, || format!("publish {}", self.queue));
        span.asks(Server::RabbitMq);
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        span.set_text("messaging.destination.name", &self.queue);
        span.set_text("messaging.rabbitmq.destination.routing_key", &self.queue);
        span.count("messaging.batch.message_count", payloads.len());
        let origin = span.origin();
        let outgoing = |payload| Outgoing {
            queue: self.queue.clone(),
            payload,
            attempt: 1,
            reason: None,
            origin: origin.as_ref(),
        };
        let messages: Vec<Outgoing<'_>> = payloads.iter().map(|payload| outgoing(payload.as_slice())).collect();
        self.outbound.send(&messages).await.inspect_err(|error| span.failed(error.code()))?;
        metrics::published(messages.len());
        Ok(())
    }

    /// Closes the connection. Dropping the publisher does the same in the background.
    pub async fn close(self) {
        self.outbound.close().await;
    }
}
