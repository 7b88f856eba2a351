//! The sweep finds what nobody announced.

use std::time::Duration;

use lockstep_worker::Limits;

use crate::fixture::House;

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_stamped_before_the_first_worker_came_are_found() {
    let house = House::new().await;
    for name in ["Ada", "Grace", "Edsger"] {
        let tenancy = house.tenancy().await;
        house.user(tenancy, name).await;
    }
    house.stamp().await;
    // Pages smaller than what there is to look at.
    let worker = house.start_to(house.clickhouse.clone(), Limits { sweep_page_tenancies: 2, ..Limits::default() });
    house.eventually_equal().await;
    worker.stop().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_lost_is_made_up_for() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    let limits = Limits { sweep_every: Duration::from_millis(100), ..Limits::default() };
    let workers = [house.start_to(house.clickhouse.clone(), limits), house.start_to(house.clickhouse.clone(), limits)];
    for name in ["Ada", "Grace", "Edsger"] {
        house.user(tenancy, name).await;
        house.stamp().await;
        house.eventually_equal().await;
    }
    for worker in workers {
        worker.stop().await;
    }
    house.remove().await;
}
