//! Work that failed comes back later, and in the end goes to the dead letters.

use std::time::{Duration, Instant};

use lockstep_core::secret::SecretUrl;
use lockstep_queue::{Consumer, Publisher, QueueDepths, Retried, Topology};
use lockstep_testkit::databases::PrivateBroker;

use crate::broker::{Broker, as_it_is, batch, header, next, until, within};

fn quick_retries(topology: Topology) -> Topology {
    topology.with_retries([Duration::from_millis(150), Duration::from_millis(300)], 4)
}

#[tokio::test]
async fn the_first_retry_comes_after_one_second_as_attempt_two() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        let put_off = Instant::now();
        let retried = next(&mut consumer).await.retry("destination is down").await.unwrap();
        assert_eq!(retried, Retried::After(Duration::from_secs(1)));
        let again = next(&mut consumer).await;
        assert!(put_off.elapsed() >= Duration::from_millis(990), "came back after {:?}", put_off.elapsed());
        assert_eq!((again.attempt, again.redelivered), (2, false));
        assert_eq!(again.batch, batch(1));
        again.ack().await;
    })
    .await;
}

#[tokio::test]
async fn delays_grow_and_the_last_attempt_ends_in_the_dead_letters() {
    Broker::run(quick_retries, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        let mut became = Vec::new();
        for attempt in 1..=4 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.attempt, attempt);
            became.push(delivery.retry(&format!("failure {attempt}")).await.unwrap());
        }
        let after = |ms| Retried::After(Duration::from_millis(ms));
        assert_eq!(became, [after(150), after(300), after(300), Retried::GivenUp]);

        let dead = broker.dead_letter().await;
        assert_eq!(dead.data, batch(1).encode()[0]);
        assert_eq!(header(&dead, "x-lockstep-reason"), "failure 4");
        assert_eq!(header(&dead, "x-lockstep-attempt"), "4");
        assert_eq!((broker.depths().await.ready, broker.depths().await.retrying), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_retry_waits_in_its_queue_and_is_counted() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1), batch(2)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        for _ in 0..2 {
            next(&mut consumer).await.retry("busy").await.unwrap();
        }
        let depths = broker.depths().await;
        assert_eq!(depths.ready + depths.retrying, 2, "{depths:?}");
        for _ in 0..2 {
            next(&mut consumer).await.ack().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_given_up_carries_the_beginning_of_its_reason() {
    let once = |topology: Topology| topology.with_retries([], 1);
    Broker::run(once, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        let reason = "é".repeat(5_000);
        assert_eq!(next(&mut consumer).await.retry(&reason).await.unwrap(), Retried::GivenUp);
        let dead = broker.dead_letter().await;
        assert_eq!(header(&dead, "x-lockstep-reason"), "é".repeat(500), "cut at 1,000 bytes");
        assert!(consumer.try_next().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_message_that_comes_back_again_and_again_is_never_given_up() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        // RabbitMQ 4 drops after 20 where nothing else is said.
        for round in 0..100 {
            let delivery = next(&mut consumer).await;
            assert_eq!((delivery.redelivered, delivery.attempt), (round > 0, 1));
        }
        next(&mut consumer).await.ack().await;
        assert_eq!(broker.depths().await, QueueDepths::default());
    })
    .await;
}

#[tokio::test]
async fn what_is_given_back_is_for_other_consumers_and_the_next_call_subscribes_again() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        within("confirms", publisher.publish(&[batch(1), batch(2), batch(3)])).await.unwrap();
        let mut paused = broker.consumer().await;
        let held = next(&mut paused).await;
        // Sent ahead and not taken.
        until("the others to be sent ahead", async || (broker.depths().await.ready == 0).then_some(())).await;
        paused.give_back().await;
        until("all three to be back", async || (broker.depths().await.ready == 3).then_some(())).await;
        assert!(paused.try_next().is_none(), "what was given back is still there");
        held.ack().await;
        assert_eq!(broker.depths().await.ready, 3, "an acknowledgement of what was given back counted");

        let mut other = broker.consumer().await;
        next(&mut other).await.ack().await;
        other.close().await;
        for _ in 0..2 {
            next(&mut paused).await.ack().await;
        }
        assert_eq!(broker.depths().await, QueueDepths::default());
    })
    .await;
}

/// Each time that the broker takes a message back counts as a delivery, up to RabbitMQ 4.2.
#[tokio::test]
async fn a_message_that_the_broker_takes_back_again_and_again_is_not_given_up() {
    let broker = PrivateBroker::impatient(Duration::from_millis(100)).await.unwrap();
    let (url, topology) = (SecretUrl::new(broker.url()), Topology::new("impatient"));
    let publisher = within("a publisher", Publisher::connect(&url, None, &topology)).await.unwrap();
    within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
    for _ in 0..25 {
        let mut consumer = within("a consumer", Consumer::connect(&url, None, &topology, 1)).await.unwrap();
        let held = next(&mut consumer).await;
        if broker.takes_back_what_consumers_hold() {
            let again = next(&mut consumer).await;
            assert!(again.redelivered, "the broker gave a message out twice");
        }
        drop(held);
        consumer.close().await;
    }
    let mut consumer = within("a consumer", Consumer::connect(&url, None, &topology, 1)).await.unwrap();
    next(&mut consumer).await.ack().await;
    consumer.close().await;
    let depths = within("depths", lockstep_queue::depths(&url, None, &topology)).await.unwrap();
    assert_eq!(depths, QueueDepths::default());
}
