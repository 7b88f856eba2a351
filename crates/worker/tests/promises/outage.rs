//! Services that go away and come back cost time, and neither rows nor attempts of messages.

use lockstep_core::secret::SecretUrl;
use lockstep_destinations::ClickHouse;
use lockstep_queue::QueueDepths;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::proxy::{Mode, Proxy};
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, WorkerFixture};

/// Rows come while the service is away; it is tried until it is back.
async fn rows_survive(fixture: &WorkerFixture, proxy: &Proxy) {
    let tenancy = fixture.tenancy().await;
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &[]).await;
    fixture.eventually_equal().await;
    proxy.set(Mode::Cut);
    let before = proxy.refused();
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &[]).await;
    eventually("the service to be tried again and again", DEADLINE, async || Ok(proxy.refused() >= before + 10))
        .await
        .unwrap();
    assert_eq!(fixture.depths().await, QueueDepths::default(), "an attempt was burnt");
    proxy.set(Mode::Pass);
    fixture.eventually_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_clickhouse_is_away() {
    let fixture = WorkerFixture::new().await;
    let (proxy, url) = Proxy::before(fixture.settings.clickhouse.url.expose()).await.unwrap();
    let mut settings = fixture.settings.clickhouse.clone();
    settings.url = SecretUrl::new(url);
    let destination = ClickHouse::connect(&settings, None).unwrap();
    // Away from the start.
    proxy.set(Mode::Cut);
    let worker = fixture.start_to(destination, Limits::default());
    eventually("the first try", DEADLINE, async || Ok(proxy.refused() > 0)).await.unwrap();
    proxy.set(Mode::Pass);
    rows_survive(&fixture, &proxy).await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_postgres_is_away() {
    let mut fixture = WorkerFixture::new().await;
    let (proxy, url) = Proxy::before(fixture.settings.source_url.expose()).await.unwrap();
    fixture.settings.source_url = SecretUrl::new(url);
    let worker = fixture.start();
    rows_survive(&fixture, &proxy).await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_rabbitmq_is_away() {
    let mut fixture = WorkerFixture::new().await;
    let direct = fixture.settings.amqp_url.clone();
    let (proxy, url) = Proxy::before(direct.expose()).await.unwrap();
    fixture.settings.amqp_url = SecretUrl::new(url);
    let worker = fixture.start();
    fixture.settings.amqp_url = direct;
    let tenancy = fixture.tenancy().await;
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &[]).await;
    fixture.eventually_equal().await;
    proxy.set(Mode::Cut);
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &[]).await;
    eventually("the broker to be tried again", DEADLINE, async || Ok(proxy.refused() >= 2)).await.unwrap();
    proxy.set(Mode::Pass);
    fixture.eventually_equal().await;
    worker.stop().await;
    fixture.remove().await;
}
