//! Messages arrive, are merged, and come back until they are settled.

use std::collections::BTreeSet;
use std::time::Duration;

use lockstep_core::MappingName;

use crate::broker::{Broker, as_it_is, batch, batch_of, next, until, within};

#[tokio::test]
async fn what_was_published_is_confirmed_and_consumed() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        let mut sent = batch(7);
        sent.tenants[0].mappings = vec!["users".parse::<MappingName>().unwrap()];
        within("confirms", publisher.publish(std::slice::from_ref(&sent))).await.unwrap();
        assert_eq!(broker.depths().await.ready, 1, "a confirmed message is in the queue");

        let mut consumer = broker.consumer().await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.batch, sent);
        assert_eq!((delivery.attempt, delivery.redelivered), (1, false));
        delivery.ack().await;
    })
    .await;
}

#[tokio::test]
async fn large_batches_are_split_and_empty_ones_left_out() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        within("confirms", publisher.publish(&[batch_of([]), batch_of(0..2_500), batch_of([])])).await.unwrap();
        let mut consumer = broker.consumer().await;
        let (mut lengths, mut numbers) = (Vec::new(), BTreeSet::new());
        while numbers.len() < 2_500 {
            let delivery = next(&mut consumer).await;
            lengths.push(delivery.batch.tenants.len());
            numbers.extend(delivery.batch.tenants.iter().map(|hint| hint.tenancy));
            delivery.ack().await;
        }
        assert_eq!(lengths, [1_000, 1_000, 500]);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_messages_are_confirmed_in_one_call() {
    Broker::run(as_it_is, async |broker| {
        let batches: Vec<_> = (0..1_000).map(batch).collect();
        within("confirms", broker.publisher().await.publish(&batches)).await.unwrap();
        assert_eq!(broker.depths().await.ready, 1_000);
    })
    .await;
}

#[tokio::test]
async fn messages_that_have_arrived_are_taken_without_waiting() {
    Broker::run(as_it_is, async |broker| {
        let mut consumer = broker.consumer().await;
        assert!(consumer.try_next().is_none());
        let batches: Vec<_> = (0..10).map(batch).collect();
        within("confirms", broker.publisher().await.publish(&batches)).await.unwrap();

        let mut merged = vec![next(&mut consumer).await];
        within("ten messages", async {
            while merged.len() < 10 {
                merged.extend(std::iter::from_fn(|| consumer.try_next()));
                tokio::task::yield_now().await;
            }
        })
        .await;
        for delivery in merged {
            delivery.ack().await;
        }
        assert!(consumer.try_next().is_none());
    })
    .await;
}

#[tokio::test]
async fn an_unacknowledged_message_outlives_its_consumer_and_an_acknowledged_one_does_not() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1), batch(2)])).await.unwrap();
        let mut first = broker.consumer().await;
        let (acknowledged, held) = (next(&mut first).await, next(&mut first).await);
        acknowledged.ack().await;
        drop(first);

        let mut second = broker.consumer().await;
        let again = next(&mut second).await;
        assert_eq!(again.batch, held.batch);
        assert!(again.redelivered);
        held.ack().await;
        again.ack().await;
        second.close().await;
        assert_eq!(broker.depths().await.ready, 0);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_delivery_comes_back_to_the_same_consumer() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        drop(next(&mut consumer).await);
        let again = next(&mut consumer).await;
        assert!(again.redelivered);
        assert_eq!(again.attempt, 1);
        again.ack().await;
    })
    .await;
}

#[tokio::test]
async fn waiting_for_the_next_message_can_be_cancelled_without_losing_any() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        let mut consumer = broker.consumer().await;
        let publishing = async {
            for number in 0..100 {
                within("a confirm", publisher.publish(&[batch(number)])).await.unwrap();
            }
        };
        let mut seen = BTreeSet::new();
        let consuming = async {
            while seen.len() < 100 {
                if let Ok(delivery) = tokio::time::timeout(Duration::from_micros(300), consumer.next()).await {
                    let delivery = delivery.unwrap();
                    assert!(!delivery.redelivered, "a message was taken and dropped");
                    seen.insert(delivery.batch.tenants[0].tenancy);
                    delivery.ack().await;
                }
            }
        };
        within("a hundred messages", async { tokio::join!(publishing, consuming) }).await;
    })
    .await;
}

#[tokio::test]
async fn depths_tell_what_is_ready() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1), batch(2)])).await.unwrap();
        until("two messages", async || (broker.depths().await.ready == 2).then_some(())).await;
        assert_eq!((broker.depths().await.retrying, broker.depths().await.dead), (0, 0));
    })
    .await;
}
