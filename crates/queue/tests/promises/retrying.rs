//! Work that failed comes back later, and in the end goes to the dead letters.

use std::time::{Duration, Instant};

use lockstep_queue::{Retried, Topology};

use crate::broker::{Broker, as_it_is, batch, header, next, within};

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
async fn a_message_that_is_dropped_again_and_again_ends_in_the_dead_letters() {
    Broker::run(as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1), batch(2)])).await.unwrap();
        let mut consumer = broker.consumer().await;
        let mut deliveries = 0;
        within("the delivery limit", async {
            while broker.depths().await.dead == 0 {
                while let Some(delivery) = consumer.try_next() {
                    if delivery.batch == batch(2) {
                        delivery.ack().await;
                    } else {
                        deliveries += 1;
                    }
                }
            }
        })
        .await;
        assert_eq!(deliveries, 21, "the first delivery and 20 more");
        assert_eq!(broker.dead_letter().await.data, batch(1).encode()[0]);
    })
    .await;
}
