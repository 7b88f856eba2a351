//! Connections break, hang and come back; both sides go on by themselves.

use std::time::Duration;

use lockstep_core::health::Health;
use lockstep_core::secret::SecretUrl;
use lockstep_queue::{Consumer, Publisher, Retried};
use lockstep_testkit::proxy::Proxy;

use crate::broker::{Broker, as_it_is, batch, next, until, within};
use crate::proxy;

async fn both(broker: &Broker, url: &SecretUrl) -> (Publisher, Consumer) {
    both_telling(broker, url, [None, None]).await
}

async fn both_telling(
    broker: &Broker,
    url: &SecretUrl,
    [publishing, consuming]: [Option<Health>; 2],
) -> (Publisher, Consumer) {
    let publisher = Publisher::connect_telling(url, None, &broker.topology, publishing);
    let publisher = within("the publisher to connect", publisher).await.unwrap();
    let consumer = Consumer::connect_telling(url, None, &broker.topology, 10, consuming);
    (publisher, within("the consumer to connect", consumer).await.unwrap())
}

#[tokio::test]
async fn connections_that_are_cut_come_back_and_nothing_is_lost() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        let (publisher, mut consumer) = both(&broker, &proxy::url(&proxy, "")).await;
        for number in 0..3 {
            within("confirms", publisher.publish(&[batch(number)])).await.unwrap();
            let held = next(&mut consumer).await;
            assert_eq!(held.batch, batch(number));
            proxy.cut();
            // The publisher may not have noticed yet, or be in the middle of connecting: no error either way.
            within("confirms", publisher.publish(&[batch(100 + number)])).await.unwrap();
            // In any order, and acknowledgements may have been cut off: what was settled may come once more.
            let mut missing = vec![batch(number), batch(100 + number)];
            while !missing.is_empty() {
                let delivery = next(&mut consumer).await;
                assert!(delivery.redelivered || delivery.batch == batch(100 + number));
                missing.retain(|batch| *batch != delivery.batch);
                delivery.ack().await;
            }
            held.ack().await;
        }
        consumer.close().await;
        assert_eq!(broker.depths().await.ready, 0, "an acknowledgement over the new connection counts");
    })
    .await;
}

#[tokio::test]
async fn a_delivery_of_a_broken_connection_is_redelivered_and_not_retried() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        let (publisher, mut consumer) = both(&broker, &proxy::url(&proxy, "")).await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        let held = next(&mut consumer).await;
        proxy.cut();
        let again = next(&mut consumer).await;
        assert_eq!(held.retry("too late").await.unwrap(), Retried::Redelivered);
        assert_eq!((again.attempt, broker.depths().await.retrying), (1, 0));
        again.ack().await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_hangs_is_replaced() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        // Silence for two heartbeats counts as gone; the default of 10 s would make this test slow.
        let (publisher, mut consumer) = both(&broker, &proxy::url(&proxy, "heartbeat=1")).await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        next(&mut consumer).await.ack().await;
        proxy.stall();
        within("confirms", publisher.publish(&[batch(2)])).await.unwrap();
        // The first may come once more: its acknowledgement may have been stalled.
        while next(&mut consumer).await.batch != batch(2) {}
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_and_health_says_so() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        let (publishing, consuming) = (Health::default(), Health::default());
        let telling = [&publishing, &consuming].map(|health| Some(health.clone()));
        let (publisher, mut consumer) = both_telling(&broker, &proxy::url(&proxy, ""), telling).await;
        assert_eq!((publishing.report(), consuming.report()), (Ok(()), Ok(())));

        let port = proxy.stop().await;
        let starting_again = async {
            let said = async || consuming.report().err().filter(|said| said.contains("LS-0101"));
            let said = until("the consumer's health to say what is wrong", said).await;
            assert!(!said.contains("guest"), "{said}");
            Proxy::on(port, &proxy::target()).await.unwrap()
        };
        let publishing_again = until("a publish to succeed", async || publisher.publish(&[batch(1)]).await.ok());
        let all = async { tokio::join!(next(&mut consumer), starting_again, publishing_again) };
        let (delivery, _proxy, ()) = within("the broker to come back", all).await;
        assert_eq!((publishing.report(), consuming.report()), (Ok(()), Ok(())));
        delivery.ack().await;
    })
    .await;
}

#[tokio::test]
async fn a_program_that_starts_before_the_broker_waits_for_it() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        let url = proxy::url(&proxy, "");
        let port = proxy.stop().await;
        let connecting = tokio::spawn({
            let topology = broker.topology.clone();
            async move { Publisher::connect(&url, None, &topology).await }
        });
        let _proxy = Proxy::on(port, &proxy::target()).await.unwrap();
        let publisher = within("the publisher to connect", connecting).await.unwrap().unwrap();
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn reconnecting_succeeds_even_if_the_caller_never_waits_long() {
    Broker::run(as_it_is, async |broker| {
        let proxy = proxy::start().await;
        let (publisher, mut consumer) = both(&broker, &proxy::url(&proxy, "")).await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        proxy.cut();
        let delivery = within("a delivery in steps of a millisecond", async {
            loop {
                if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(1), consumer.next()).await {
                    break delivery.unwrap();
                }
            }
        });
        delivery.await.ack().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_publish_leaves_the_publisher_usable() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        for number in 0..10_u32 {
            let impatient = Duration::from_micros(u64::from(number) * 200);
            let batches: Vec<_> = (0..50).map(batch).collect();
            let _ = tokio::time::timeout(impatient, publisher.publish(&batches)).await;
        }
        within("confirms", publisher.publish(&[batch(999)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        within("the last batch", async {
            loop {
                let delivery = consumer.next().await.unwrap();
                let last = delivery.batch == batch(999);
                delivery.ack().await;
                if last {
                    break;
                }
            }
        })
        .await;
    })
    .await;
}
