//! The topology as the broker knows it: declare, delete.

use std::path::Path;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lockstep_core::secret::SecretUrl;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::error::QueueError;
use crate::link;
use crate::topology::{Overflow, QueuePlan, Topology};

/// For all questions about queues of a connection together. A new quorum queue elects its leader meanwhile.
pub(crate) const DECLARE_TIMEOUT: Duration = Duration::from_secs(30);

/// Deletes all queues of the topology and every message in them. For tests and for taking Lockstep away.
///
/// # Errors
/// What kept us from it; queues that do not exist are no error.
pub async fn delete_queues_and_messages(
    url: &SecretUrl,
    ca: Option<&Path>,
    topology: &Topology,
) -> Result<(), QueueError> {
    let endpoint = visitor(url, ca);
    let link = link::open(&endpoint).await?;
    let deleting = async {
        for plan in topology.queues() {
            link.work().queue_delete(plan.name.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    };
    let deleted = timeout(DECLARE_TIMEOUT, deleting).await;
    link.close().await;
    let deleted = deleted.map_err(|_| endpoint.timeout("deleting queues", DECLARE_TIMEOUT))?;
    deleted.map_err(|error: lapin::Error| endpoint.client_error(&error))
}

pub(crate) fn visitor(url: &SecretUrl, ca: Option<&Path>) -> Endpoint {
    Endpoint { url: url.clone(), tls_ca_file: ca.map(Path::to_owned), connection_name: "lockstep-status" }
}

/// Declares every queue. Done again with every connection: a queue that was deleted comes back.
pub(crate) async fn declare(endpoint: &Endpoint, channel: &Channel, topology: &Topology) -> Result<(), QueueError> {
    let declaring = async {
        for plan in topology.queues() {
            let declared =
                channel.queue_declare(short_name(&plan.name)?, QueueDeclareOptions::durable(), arguments(&plan)).await;
            declared.map_err(|error| QueueError::from_declare(&endpoint.url, &plan.name, &error))?;
        }
        Ok(())
    };
    timeout(DECLARE_TIMEOUT, declaring).await.map_err(|_| endpoint.timeout("declaring queues", DECLARE_TIMEOUT))?
}

/// A name as the protocol carries it: at most 255 bytes.
pub(crate) fn short_name(name: &str) -> Result<ShortString, QueueError> {
    ShortString::try_new(name)
        .map_err(|_| QueueError::Misconfigured { detail: "the queue prefix is longer than 200 bytes".to_owned() })
}

/// The arguments of <https://www.rabbitmq.com/docs/quorum-queues>, as RabbitMQ 3.10 to 4.x know them.
fn arguments(plan: &QueuePlan) -> FieldTable {
    let mut table = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        table.insert(name.into(), value);
    };
    let text = |text: &str| AMQPValue::LongString(text.into());
    let number = |number: u64| AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX));
    set("x-queue-type", text("quorum"));
    set("x-max-length", number(plan.max_messages.into()));
    set("x-max-length-bytes", number(plan.max_bytes));
    set(
        "x-overflow",
        text(match plan.overflow {
            Overflow::RejectPublish => "reject-publish",
            Overflow::DropHead => "drop-head",
        }),
    );
    if let Some(ttl) = plan.ttl {
        set("x-message-ttl", number(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
    }
    set("x-delivery-limit", number(plan.delivery_limit.into()));
    if let Some(target) = &plan.dead_letters_to {
        // The default exchange routes by queue name. At least once: the message stays until the target has it.
        set("x-dead-letter-exchange", text(""));
        set("x-dead-letter-routing-key", text(target));
        set("x-dead-letter-strategy", text("at-least-once"));
    }
    table
}
