//! Services that go away and come back cost time, and neither rows nor attempts of messages.

use lockstep_core::secret::SecretUrl;
use lockstep_destinations::ClickHouse;
use lockstep_queue::QueueDepths;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::proxy::{Mode, Proxy};
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, House};

/// Rows come while the service is away; it is tried until it is back.
async fn rows_survive(house: &House, proxy: &Proxy) {
    let tenancy = house.tenancy().await;
    house.users(tenancy, 5).await;
    house.pass().await;
    house.announce(&[tenancy], &[]).await;
    house.eventually_equal().await;
    proxy.set(Mode::Cut);
    let before = proxy.refused();
    house.users(tenancy, 5).await;
    house.pass().await;
    house.announce(&[tenancy], &[]).await;
    eventually("the service to be tried again and again", DEADLINE, async || Ok(proxy.refused() >= before + 10))
        .await
        .unwrap();
    assert_eq!(house.depths().await, QueueDepths::default(), "an attempt was burnt");
    proxy.set(Mode::Pass);
    house.eventually_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_clickhouse_is_away() {
    let house = House::new().await;
    let (proxy, url) = Proxy::before(house.settings.clickhouse.url.expose()).await.unwrap();
    let mut settings = house.settings.clickhouse.clone();
    settings.url = SecretUrl::new(url);
    let destination = ClickHouse::connect(&settings, None).unwrap();
    // Away from the start.
    proxy.set(Mode::Cut);
    let worker = house.start_to(destination, Limits::default());
    eventually("the first try", DEADLINE, async || Ok(proxy.refused() > 0)).await.unwrap();
    proxy.set(Mode::Pass);
    rows_survive(&house, &proxy).await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_postgres_is_away() {
    let mut house = House::new().await;
    let (proxy, url) = Proxy::before(house.settings.source_url.expose()).await.unwrap();
    house.settings.source_url = SecretUrl::new(url);
    let worker = house.start();
    rows_survive(&house, &proxy).await;
    worker.stop().await;
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_rabbitmq_is_away() {
    let mut house = House::new().await;
    let direct = house.settings.amqp_url.clone();
    let (proxy, url) = Proxy::before(direct.expose()).await.unwrap();
    house.settings.amqp_url = SecretUrl::new(url);
    let worker = house.start();
    house.settings.amqp_url = direct;
    let tenancy = house.tenancy().await;
    house.users(tenancy, 5).await;
    house.pass().await;
    house.announce(&[tenancy], &[]).await;
    house.eventually_equal().await;
    proxy.set(Mode::Cut);
    house.users(tenancy, 5).await;
    house.pass().await;
    house.announce(&[tenancy], &[]).await;
    eventually("the broker to be tried again", DEADLINE, async || Ok(proxy.refused() >= 2)).await.unwrap();
    proxy.set(Mode::Pass);
    house.eventually_equal().await;
    worker.stop().await;
    house.remove().await;
}
