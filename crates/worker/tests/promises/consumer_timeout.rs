//! A broker that takes messages back from whoever holds them for too long: as often as it does, no message is given up.

use std::time::Duration;

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::secret::SecretUrl;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::ClickHouse;
use lockstep_queue::{Consumer, Publisher, QueueDepths, TenantHint, Topology};
use lockstep_testkit::databases::{PrivateBroker, eventually};
use lockstep_testkit::proxy::{Mode, Proxy};
use lockstep_worker::Limits;
use uuid::Uuid;

use crate::fixture::{DEADLINE, Running, WorkerFixture};

/// Far less than anybody would set: half an hour is usual.
const CONSUMER_TIMEOUT: Duration = Duration::from_millis(400);

const ROUNDS: usize = 10;

/// A fixture whose queues are on an impatient broker.
async fn fixture() -> (WorkerFixture, PrivateBroker) {
    let broker = PrivateBroker::impatient(CONSUMER_TIMEOUT).await.unwrap();
    let mut fixture = WorkerFixture::new().await;
    fixture.settings.amqp_url = SecretUrl::new(broker.url());
    (fixture, broker)
}

/// A ClickHouse that can be cut off.
async fn cut_off(fixture: &WorkerFixture) -> (ClickHouse, Proxy) {
    let (proxy, url) = Proxy::before(fixture.settings.clickhouse.url.expose()).await.unwrap();
    let mut settings = fixture.settings.clickhouse.clone();
    settings.url = SecretUrl::new(url);
    (ClickHouse::connect(&settings, None).unwrap(), proxy)
}

/// Changes of so many tenancies, each announced in a message of its own.
async fn messages(fixture: &WorkerFixture, tenancies: &[TenancyId]) {
    for tenancy in tenancies {
        fixture.users(*tenancy, 1).await;
    }
    fixture.pass().await;
    for tenancy in tenancies {
        fixture.announce(&[*tenancy], &["users"]).await;
    }
}

async fn some_tenancies(fixture: &WorkerFixture) -> Vec<TenancyId> {
    let mut tenancies = Vec::new();
    for _ in 0..5 {
        tenancies.push(fixture.tenancy().await);
    }
    tenancies
}

/// Pauses workers, and waits until so many of them know it.
async fn pause(fixture: &WorkerFixture, workers: usize) {
    fixture.run_sql("INSERT INTO lockstep.pause (kind, name) VALUES ('workers', '')").await;
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let since = fixture.number(now).await;
    let reads = format!(
        r#"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
           AND query LIKE '%"lockstep"."resumed"%' AND extract(epoch FROM query_start) * 1000000 > {since}"#
    );
    let workers = i64::try_from(workers).unwrap();
    eventually("every worker to read it", DEADLINE, async || Ok(fixture.number(&reads).await == workers))
        .await
        .unwrap();
}

async fn ready(fixture: &WorkerFixture, messages: u64) {
    let is_ready = async || Ok(fixture.depths().await.ready == messages);
    eventually(&format!("{messages} messages to be ready"), DEADLINE, is_ready).await.unwrap();
}

/// Nothing was given up, and nothing is left.
async fn end(fixture: WorkerFixture, workers: impl IntoIterator<Item = Running>) {
    fixture.eventually_equal().await;
    let nothing_left = async || Ok(fixture.depths().await == QueueDepths::default());
    eventually("every message to be settled, and none to be dead", DEADLINE, nothing_left).await.unwrap();
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}

/// Holds a message beside the workers until the broker takes it back: whoever holds another since before has lost it too.
async fn until_taken_back(fixture: &WorkerFixture, broker: &PrivateBroker) {
    let (url, topology) = (&fixture.settings.amqp_url, Topology::new("control"));
    let mut consumer = Consumer::connect(url, None, &topology, 1).await.unwrap();
    let publisher = Publisher::connect(url, None, &topology).await.unwrap();
    let hints = TenantHint {
        tenancy: TenancyId::new(Uuid::new_v4()),
        mappings: Vec::new(),
        sequence: SequenceId::BASE,
        previous: Vec::new(),
        times: ChangeTimes::default(),
    };
    publisher.publish(&[[hints].into_iter().collect()]).await.unwrap();
    let held = consumer.next().await.unwrap();
    let before = broker.taken_back().unwrap();
    let taken_back = async || Ok(broker.taken_back()? > before);
    eventually("the broker to take a message back", DEADLINE, taken_back).await.unwrap();
    drop(held);
    consumer.close().await;
    publisher.close().await;
}

/// While workers are paused, all messages are in the queue, however many were on their way to one.
async fn are_paused(fixture: &WorkerFixture, workers: usize, tenancies: &[TenancyId]) {
    pause(fixture, workers).await;
    messages(fixture, tenancies).await;
    ready(fixture, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_paused_hold_no_message() {
    let fixture = WorkerFixture::new().await;
    fixture.without_sweeps().await;
    let workers = [fixture.start(), fixture.start()];
    let tenancies = some_tenancies(&fixture).await;
    are_paused(&fixture, workers.len(), &tenancies).await;
    fixture.run_sql("DELETE FROM lockstep.pause").await;
    end(fixture, workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_paused_ten_times_for_longer_than_the_broker_bears_lose_no_message() {
    let (fixture, broker) = fixture().await;
    fixture.without_sweeps().await;
    let workers = [fixture.start(), fixture.start()];
    let tenancies = some_tenancies(&fixture).await;
    for _ in 0..ROUNDS {
        are_paused(&fixture, workers.len(), &tenancies).await;
        if broker.takes_back_what_consumers_hold() {
            until_taken_back(&fixture, &broker).await;
        }
        fixture.run_sql("DELETE FROM lockstep.pause").await;
        fixture.eventually_equal().await;
    }
    end(fixture, workers).await;
}

/// Each worker holds on to what it cannot ship until the broker takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_broker_takes_back_in_ten_outages_are_not_given_up() {
    let (fixture, broker) = fixture().await;
    fixture.without_sweeps().await;
    let (destination, proxy) = cut_off(&fixture).await;
    let limits = Limits { give_back_after: DEADLINE * 10, ..Limits::default() };
    let workers = [fixture.start_to(destination.clone(), limits), fixture.start_to(destination, limits)];
    let tenancies = some_tenancies(&fixture).await;
    messages(&fixture, &tenancies).await;
    fixture.eventually_equal().await;
    for _ in 0..ROUNDS {
        proxy.set(Mode::Cut);
        let before = broker.taken_back().unwrap();
        messages(&fixture, &tenancies).await;
        if broker.takes_back_what_consumers_hold() {
            let taken_back = async || Ok(broker.taken_back()? > before);
            eventually("the broker to take messages back", DEADLINE, taken_back).await.unwrap();
        }
        proxy.set(Mode::Pass);
        fixture.eventually_equal().await;
    }
    end(fixture, workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_gets_nothing_through_gives_its_messages_to_one_that_does() {
    let fixture = WorkerFixture::new().await;
    fixture.without_sweeps().await;
    let (destination, proxy) = cut_off(&fixture).await;
    let limits = Limits { give_back_after: Duration::from_millis(200), ..Limits::default() };
    let cut_off = fixture.start_to(destination, limits);
    let tenancies = some_tenancies(&fixture).await;
    messages(&fixture, &tenancies).await;
    fixture.eventually_equal().await;
    proxy.set(Mode::Cut);
    messages(&fixture, &tenancies).await;
    // They were taken by the one worker that there is, and are back.
    ready(&fixture, 5).await;
    let other = fixture.start();
    fixture.eventually_equal().await;
    proxy.set(Mode::Pass);
    end(fixture, [cut_off, other]).await;
}
