//! A broker that takes messages back from whoever holds them for too long: as often as it does, no message is given up.

use std::time::Duration;

use lockstep_core::secret::SecretUrl;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::ClickHouse;
use lockstep_queue::{Consumer, Publisher, QueueDepths, TenantNews, Topology};
use lockstep_testkit::databases::{PrivateBroker, eventually};
use lockstep_testkit::proxy::{Mode, Proxy};
use lockstep_worker::Limits;
use uuid::Uuid;

use crate::fixture::{DEADLINE, House, Running};

/// Far less than anybody would set: half an hour is usual.
const CONSUMER_TIMEOUT: Duration = Duration::from_millis(400);

const ROUNDS: usize = 10;

/// A house whose queues are on an impatient broker.
async fn house() -> (House, PrivateBroker) {
    let broker = PrivateBroker::impatient(CONSUMER_TIMEOUT).await.unwrap();
    let mut house = House::new().await;
    house.settings.amqp_url = SecretUrl::new(broker.url());
    (house, broker)
}

/// A ClickHouse that can be cut off.
async fn cut_off(house: &House) -> (ClickHouse, Proxy) {
    let (proxy, url) = Proxy::before(house.settings.clickhouse.url.expose()).await.unwrap();
    let mut settings = house.settings.clickhouse.clone();
    settings.url = SecretUrl::new(url);
    (ClickHouse::connect(&settings, None).unwrap(), proxy)
}

/// Changes of so many tenancies, each announced in a message of its own.
async fn messages(house: &House, tenancies: &[TenancyId]) {
    for tenancy in tenancies {
        house.users(*tenancy, 1).await;
    }
    house.pass().await;
    for tenancy in tenancies {
        house.announce(&[*tenancy], &["users"]).await;
    }
}

async fn some_tenancies(house: &House) -> Vec<TenancyId> {
    let mut tenancies = Vec::new();
    for _ in 0..5 {
        tenancies.push(house.tenancy().await);
    }
    tenancies
}

/// Pauses workers, and waits until so many of them know it.
async fn pause(house: &House, workers: usize) {
    house.run_sql("INSERT INTO lockstep.pause (kind, name) VALUES ('workers', '')").await;
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let since = house.number(now).await;
    let reads = format!(
        r#"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
           AND query LIKE '%"lockstep"."resumed"%' AND extract(epoch FROM query_start) * 1000000 > {since}"#
    );
    let workers = i64::try_from(workers).unwrap();
    eventually("every worker to read it", DEADLINE, async || Ok(house.number(&reads).await == workers)).await.unwrap();
}

async fn ready(house: &House, messages: u64) {
    let is_ready = async || Ok(house.depths().await.ready == messages);
    eventually(&format!("{messages} messages to be ready"), DEADLINE, is_ready).await.unwrap();
}

/// Nothing was given up, and nothing is left.
async fn end(house: House, workers: impl IntoIterator<Item = Running>) {
    house.eventually_equal().await;
    let nothing_left = async || Ok(house.depths().await == QueueDepths::default());
    eventually("every message to be settled, and none to be dead", DEADLINE, nothing_left).await.unwrap();
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(house.depths().await, QueueDepths::default());
    house.remove().await;
}

/// Holds a message beside the workers until the broker takes it back: whoever holds another since before has lost it too.
async fn until_taken_back(house: &House, broker: &PrivateBroker) {
    let (url, topology) = (&house.settings.amqp_url, Topology::new("control"));
    let mut consumer = Consumer::connect(url, None, &topology, 1).await.unwrap();
    let publisher = Publisher::connect(url, None, &topology).await.unwrap();
    let news = TenantNews {
        tenancy: TenancyId::new(Uuid::new_v4()),
        mappings: Vec::new(),
        sequence: SequenceId::BASE,
        previous: Vec::new(),
    };
    publisher.publish(&[[news].into_iter().collect()]).await.unwrap();
    let held = consumer.next().await.unwrap();
    let before = broker.taken_back().unwrap();
    let taken_back = async || Ok(broker.taken_back()? > before);
    eventually("the broker to take a message back", DEADLINE, taken_back).await.unwrap();
    drop(held);
    consumer.close().await;
    publisher.close().await;
}

/// While workers are paused, all messages are in the queue, however many were on their way to one.
async fn are_paused(house: &House, workers: usize, tenancies: &[TenancyId]) {
    pause(house, workers).await;
    messages(house, tenancies).await;
    ready(house, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_paused_hold_no_message() {
    let house = House::new().await;
    house.without_sweeps().await;
    let workers = [house.start(), house.start()];
    let tenancies = some_tenancies(&house).await;
    are_paused(&house, workers.len(), &tenancies).await;
    house.run_sql("DELETE FROM lockstep.pause").await;
    end(house, workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_paused_ten_times_for_longer_than_the_broker_bears_lose_no_message() {
    let (house, broker) = house().await;
    house.without_sweeps().await;
    let workers = [house.start(), house.start()];
    let tenancies = some_tenancies(&house).await;
    for _ in 0..ROUNDS {
        are_paused(&house, workers.len(), &tenancies).await;
        if broker.takes_back_what_consumers_hold() {
            until_taken_back(&house, &broker).await;
        }
        house.run_sql("DELETE FROM lockstep.pause").await;
        house.eventually_equal().await;
    }
    end(house, workers).await;
}

/// Each worker holds on to what it cannot ship until the broker takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_broker_takes_back_in_ten_outages_are_not_given_up() {
    let (house, broker) = house().await;
    house.without_sweeps().await;
    let (destination, proxy) = cut_off(&house).await;
    let limits = Limits { give_back_after: DEADLINE * 10, ..Limits::default() };
    let workers = [house.start_to(destination.clone(), limits), house.start_to(destination, limits)];
    let tenancies = some_tenancies(&house).await;
    messages(&house, &tenancies).await;
    house.eventually_equal().await;
    for _ in 0..ROUNDS {
        proxy.set(Mode::Cut);
        let before = broker.taken_back().unwrap();
        messages(&house, &tenancies).await;
        if broker.takes_back_what_consumers_hold() {
            let taken_back = async || Ok(broker.taken_back()? > before);
            eventually("the broker to take messages back", DEADLINE, taken_back).await.unwrap();
        }
        proxy.set(Mode::Pass);
        house.eventually_equal().await;
    }
    end(house, workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_gets_nothing_through_gives_its_messages_to_one_that_does() {
    let house = House::new().await;
    house.without_sweeps().await;
    let (destination, proxy) = cut_off(&house).await;
    let limits = Limits { give_back_after: Duration::from_millis(200), ..Limits::default() };
    let cut_off = house.start_to(destination, limits);
    let tenancies = some_tenancies(&house).await;
    messages(&house, &tenancies).await;
    house.eventually_equal().await;
    proxy.set(Mode::Cut);
    messages(&house, &tenancies).await;
    // They were taken by the one worker that there is, and are back.
    ready(&house, 5).await;
    let other = house.start();
    house.eventually_equal().await;
    proxy.set(Mode::Pass);
    end(house, [cut_off, other]).await;
}
