//! The broker of a test: queues under a prefix of their own, and a raw look at them past the crate's own API.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use lockstep_core::freshness::ChangeTimes;
use lockstep_core::secret::SecretUrl;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_queue::{Consumer, Delivery, Publisher, QueueDepths, TenantBatch, TenantHint, Topology};
use lockstep_testkit::databases::eventually;
use uuid::Uuid;

/// For anything that a healthy broker does in milliseconds, on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The broker that all tests share.
pub(crate) fn url() -> SecretUrl {
    let url = std::env::var("LOCKSTEP_AMQP_URL");
    SecretUrl::new(url.expect("LOCKSTEP_AMQP_URL is not set: run the tests with `cargo xtask test`"))
}

/// A topology under a new prefix.
pub(crate) struct Broker {
    pub(crate) topology: Topology,
}

impl Broker {
    /// Runs a test with queues of its own and deletes them afterwards, even if it fails.
    pub(crate) async fn run<F: Future<Output = ()>>(adjust: fn(Topology) -> Topology, test: impl FnOnce(Self) -> F) {
        let topology = adjust(Topology::new(format!("lockstep-test-{}", Uuid::new_v4().simple())));
        let outcome = AssertUnwindSafe(test(Self { topology: topology.clone() })).catch_unwind().await;
        lockstep_queue::delete_queues_and_messages(&url(), None, &topology).await.expect("queues are deleted");
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        within("the publisher to connect", Publisher::connect(&url(), None, &self.topology)).await.unwrap()
    }

    pub(crate) async fn consumer(&self) -> Consumer {
        within("the consumer to connect", Consumer::connect(&url(), None, &self.topology, 100)).await.unwrap()
    }

    /// Waits until a dead letter is there and takes it.
    pub(crate) async fn dead_letter(&self) -> BasicGetMessage {
        let (_connection, channel) = raw_channel().await;
        let queue = self.topology.dead_queue();
        let message = until("a dead letter", async || {
            channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap()
        });
        let message = message.await;
        message.ack(BasicAckOptions::default()).await.unwrap();
        message
    }

    pub(crate) async fn depths(&self) -> QueueDepths {
        within("queue depths", lockstep_queue::depths(&url(), None, &self.topology)).await.unwrap()
    }

    /// Puts any bytes into the main queue.
    pub(crate) async fn publish_raw(&self, payload: &[u8]) {
        let (_connection, channel) = raw_channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let (queue, properties) = (self.topology.main_queue(), BasicProperties::default());
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish("".into(), queue.as_str().into(), options, payload, properties).await;
        assert!(confirm.unwrap().await.unwrap().is_ack());
    }

    /// Declares a classic queue.
    pub(crate) async fn declare_classic(&self, queue: &str) {
        let (_connection, channel) = raw_channel().await;
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    }
}

async fn raw_channel() -> (Connection, Channel) {
    let connection = Connection::connect(url().expose(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// A header's value as text.
pub(crate) fn header(message: &BasicGetMessage, name: &str) -> String {
    match message.properties.headers().as_ref().and_then(|headers| headers.inner().get(name)) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        Some(AMQPValue::LongLongInt(number)) => number.to_string(),
        other => panic!("header {name} is {other:?}"),
    }
}

/// A batch of one tenancy with this number.
pub(crate) fn batch(number: u128) -> TenantBatch {
    batch_of([number])
}

/// A batch of tenancies with these numbers.
pub(crate) fn batch_of(numbers: impl IntoIterator<Item = u128>) -> TenantBatch {
    let hint = |number| TenantHint {
        tenancy: TenancyId::new(Uuid::from_u128(number)),
        mappings: Vec::new(),
        sequence: SequenceId::BASE,
        previous: Vec::new(),
        times: ChangeTimes::default(),
    };
    numbers.into_iter().map(hint).collect()
}

/// The next delivery.
pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    within("a delivery", consumer.next()).await.unwrap()
}

/// Waits for a future, with a deadline.
pub(crate) async fn within<T>(awaited: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain for {awaited}"))
}

/// Asks again and again until there is an answer, with a deadline.
pub(crate) async fn until<T>(awaited: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let mut answer = None;
    let asked = eventually(awaited, DEADLINE, async || {
        answer = ask().await;
        Ok(answer.is_some())
    });
    asked.await.unwrap();
    answer.unwrap()
}

/// Leaves a topology as it is.
pub(crate) fn as_it_is(topology: Topology) -> Topology {
    topology
}
