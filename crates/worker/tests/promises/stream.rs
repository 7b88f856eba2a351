//! From a message to a view.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_queue::QueueDepths;
use lockstep_testkit::databases::eventually;
use lockstep_worker::Limits;
use uuid::Uuid;

use crate::fixture::{DEADLINE, House};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_announced_arrives() {
    let house = House::new().await;
    house.without_sweeps().await;
    let worker = house.start();
    let tenancy = house.tenancy().await;
    house.user(tenancy, "Ada").await;
    house.pass().await;
    house.announce(&[tenancy], &["users"]).await;
    house.eventually("the user to be seen", "SELECT display_name FROM {views}.users", "Ada").await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default(), "the message was acknowledged");
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tenancy_and_an_unknown_mapping_are_acknowledged() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    house.user(tenancy, "Grace").await;
    house.pass().await;
    house.announce(&[TenancyId::new(Uuid::new_v4())], &[]).await;
    house.announce(&[tenancy], &["of_a_newer_version"]).await;
    house.announce(&[TenancyId::new(Uuid::new_v4()), tenancy], &["users"]).await;
    house.without_sweeps().await;
    let worker = house.start();
    house.eventually("the user to be seen", "SELECT display_name FROM {views}.users", "Grace").await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_queue() {
    let house = House::new().await;
    house.without_sweeps().await;
    let workers = [house.start(), house.start()];
    for round in 0..5 {
        let tenancy = house.tenancy().await;
        house.user(tenancy, &format!("user {round}")).await;
        house.pass().await;
        house.announce(&[tenancy], &[]).await;
    }
    house.eventually_equal().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

/// A worker that hangs in its first flush, where `operation` is.
async fn hanging(house: &House, operation: Operation) -> (crate::fixture::Running, TenancyId) {
    let tenancy = house.tenancy().await;
    house.users(tenancy, 5).await;
    house.pass().await;
    house.announce(&[tenancy], &[]).await;
    let destination = Faulty::new(house.clickhouse.clone());
    destination.script(operation, [Some(Fault::Hang)]);
    // It is the message that counts here.
    let limits = Limits { stop_within: Duration::from_millis(200), sweep_every: DEADLINE * 10, ..Limits::default() };
    let worker = house.start_to(destination.clone(), limits);
    eventually("the flush to hang", DEADLINE, async || Ok(destination.left() == 0)).await.unwrap();
    (worker, tenancy)
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_a_flush_for_ever_and_gives_its_message_back() {
    let house = House::new().await;
    let (worker, tenancy) = hanging(&house, Operation::Write).await;
    worker.stop().await;
    assert_eq!(house.cursor(tenancy, "users").await, SequenceId::BASE);
    eventually("the message to be back", DEADLINE, async || Ok(house.depths().await.ready == 1)).await.unwrap();
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_a_flush_leaves_it_to_the_next() {
    let house = House::new().await;
    let (dying, tenancy) = hanging(&house, Operation::Advance).await;
    house.eventually("its rows to be written", "SELECT count() FROM {views}.users", "5").await;
    dying.kill().await;
    assert_eq!(house.cursor(tenancy, "users").await, SequenceId::BASE);
    let worker = house.start_to(house.clickhouse.clone(), Limits { sweep_every: DEADLINE * 10, ..Limits::default() });
    eventually("the cursor to move", DEADLINE, async || Ok(house.cursor(tenancy, "users").await > SequenceId::BASE))
        .await
        .unwrap();
    house.eventually_equal().await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}
