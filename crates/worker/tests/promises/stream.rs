//! From a message to a view.

use uuid::Uuid;

use crate::fixture::House;
use lockstep_core::TenancyId;
use lockstep_queue::QueueDepths;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_announced_arrives() {
    let house = House::new().await;
    let worker = house.start();
    let tenancy = house.tenancy().await;
    house.user(tenancy, "Ada").await;
    house.stamp().await;
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
    house.stamp().await;
    house.announce(&[TenancyId::new(Uuid::new_v4())], &[]).await;
    house.announce(&[tenancy], &["of_a_newer_version"]).await;
    house.announce(&[TenancyId::new(Uuid::new_v4()), tenancy], &["users"]).await;
    let worker = house.start();
    house.eventually("the user to be seen", "SELECT display_name FROM {views}.users", "Grace").await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_queue() {
    let house = House::new().await;
    let workers = [house.start(), house.start()];
    for round in 0..5 {
        let tenancy = house.tenancy().await;
        house.user(tenancy, &format!("user {round}")).await;
        house.stamp().await;
        house.announce(&[tenancy], &[]).await;
    }
    house.eventually_equal().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}
