//! Messages that are no batches, queues that are full or gone, a broker that says no.

use lapin::uri::AMQPUri;
use lockstep_core::secret::SecretUrl;
use lockstep_queue::{Publisher, QueueError, Topology};

use crate::broker::{self, Broker, as_it_is, batch, header, next, within};

#[tokio::test]
async fn garbage_goes_to_the_dead_letters_at_once_and_the_next_message_arrives() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        let mut consumer = broker.consumer().await;
        broker.publish_raw(b"SECRET PAYLOAD").await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();

        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.batch, batch(1));
        delivery.ack().await;
        let dead = broker.dead_letter().await;
        assert_eq!(dead.data, b"SECRET PAYLOAD");
        let reason = header(&dead, "x-lockstep-reason");
        assert!(reason.starts_with("the payload is no lockstep.v1.TenantBatch: "), "{reason}");
        assert_eq!(broker.depths().await.ready, 0);
    })
    .await;
}

#[tokio::test]
async fn garbage_is_passed_over_by_whoever_takes_what_has_arrived() {
    Broker::run(as_it_is, async |broker| {
        broker.publisher().await;
        for payload in [&b"\xff"[..], &batch(1).encode()[0], b"\xff\xff", &batch(2).encode()[0]] {
            broker.publish_raw(payload).await;
        }
        let mut consumer = broker.consumer().await;
        let mut taken = Vec::new();
        within("both batches", async {
            while taken.len() < 2 {
                taken.extend(std::iter::from_fn(|| consumer.try_next()));
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!([&taken[0].batch, &taken[1].batch], [&batch(1), &batch(2)]);
        for delivery in taken {
            delivery.ack().await;
        }
        broker.dead_letter().await;
        broker.dead_letter().await;
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_is_an_error_and_not_a_silent_loss() {
    Broker::run(
        |topology| topology.with_max_messages(3),
        async |broker| {
            let publisher = broker.publisher().await;
            let mut accepted = 0;
            let refused = loop {
                match within("an answer", publisher.publish(&[batch(accepted)])).await {
                    Ok(()) => accepted += 1,
                    Err(error) => break error,
                }
                assert!(accepted < 100, "a queue of 3 messages took a hundred");
            };
            assert!(matches!(&refused, QueueError::NotAccepted { refused: 1, published: 1, .. }), "{refused}");
            assert!(refused.is_retryable());

            let mut consumer = broker.consumer().await;
            for _ in 0..accepted {
                next(&mut consumer).await.ack().await;
            }
            within("an answer", publisher.publish(&[batch(1)])).await.expect("there is room again");
        },
    )
    .await;
}

#[tokio::test]
async fn queues_that_were_deleted_come_back() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        let mut consumer = broker.consumer().await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        next(&mut consumer).await.ack().await;

        lockstep_queue::delete_queues_and_messages(&broker::url(), None, &broker.topology).await.unwrap();
        within("confirms", publisher.publish(&[batch(2)])).await.unwrap();
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.batch, batch(2));
        delivery.ack().await;
    })
    .await;
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_an_error_with_a_remedy() {
    Broker::run(as_it_is, async |broker| {
        let queue = broker.topology.main_queue();
        broker.declare_classic(&queue).await;
        let url = broker::url();
        let connecting = Publisher::connect(&url, None, &broker.topology);
        let error = within("an answer", connecting).await.err().unwrap();
        assert_eq!((error.code(), error.is_retryable()), ("LS-0105", false));
        let said = error.to_string();
        for expected in [&format!("rabbitmqctl delete_queue {queue}"), "LOCKSTEP_QUEUE_PREFIX", "inequivalent arg"] {
            assert!(said.contains(expected), "{expected:?} is missing in {said:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn refused_access_is_said_at_once_and_without_the_password() {
    let mut wrong_password: AMQPUri = broker::url().expose().parse().unwrap();
    let mut wrong_vhost = wrong_password.clone();
    wrong_password.authority.userinfo.password = "hunter2".to_owned();
    wrong_vhost.vhost = "no-such-vhost".to_owned();
    let topology = Topology::new("never");
    for uri in [wrong_password, wrong_vhost] {
        let url = SecretUrl::new(uri.to_string());
        let connecting = Publisher::connect(&url, None, &topology);
        let error = within("an answer", connecting).await.err().unwrap();
        assert_eq!((error.code(), error.is_retryable()), ("LS-0102", false), "{error}");
        assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn depths_before_anything_was_declared_are_an_error_that_says_so() {
    let topology = Topology::new("lockstep-test-never-declared");
    let error = within("an answer", lockstep_queue::depths(&broker::url(), None, &topology)).await.unwrap_err();
    assert!(matches!(error, QueueError::NoQueue { .. }), "{error}");
}

#[tokio::test]
async fn a_prefix_that_is_too_long_is_an_error_and_no_panic() {
    let topology = Topology::new("p".repeat(250));
    let error = within("an answer", Publisher::connect(&broker::url(), None, &topology)).await.err().unwrap();
    assert_eq!(error.code(), "LS-0103");
}
