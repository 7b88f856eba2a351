//! From a message to a view.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_queue::QueueDepths;
use lockstep_testkit::databases::eventually;
use lockstep_worker::Limits;
use uuid::Uuid;

use crate::fixture::{DEADLINE, WorkerFixture};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_announced_arrives() {
    let fixture = WorkerFixture::new().await;
    fixture.without_sweeps().await;
    let worker = fixture.start();
    let tenancy = fixture.tenancy().await;
    fixture.user(tenancy, "Ada").await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &["users"]).await;
    fixture.eventually("the user to be seen", "SELECT display_name FROM {views}.users", "Ada").await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default(), "the message was acknowledged");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tenancy_and_an_unknown_mapping_are_acknowledged() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    fixture.user(tenancy, "Grace").await;
    fixture.pass().await;
    fixture.announce(&[TenancyId::new(Uuid::new_v4())], &[]).await;
    fixture.announce(&[tenancy], &["of_a_newer_version"]).await;
    fixture.announce(&[TenancyId::new(Uuid::new_v4()), tenancy], &["users"]).await;
    fixture.without_sweeps().await;
    let worker = fixture.start();
    fixture.eventually("the user to be seen", "SELECT display_name FROM {views}.users", "Grace").await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_that_follow_each_other_share_a_write_of_cursors() {
    let fixture = WorkerFixture::new().await;
    fixture.without_sweeps().await;
    let tenancy = fixture.tenancy().await;
    let limits = Limits { cursor_write_every: Duration::from_secs(3_600), ..Limits::default() };
    let worker = fixture.start_to(fixture.clickhouse.clone(), limits);
    let mut cursors = Vec::new();
    for name in ["Ada", "Grace", "Edsger"] {
        fixture.user(tenancy, name).await;
        fixture.pass().await;
        fixture.announce(&[tenancy], &["users"]).await;
        let seen = format!("SELECT count() FROM {{views}}.users WHERE display_name = '{name}'");
        fixture.eventually("the user to be seen", &seen, "1").await;
        if cursors.is_empty() {
            let head = fixture.head().await.to_string();
            let cursor =
                "SELECT max(last_synced_sequence_id) FROM {raw}._stack_sync_metadata WHERE mapping_name = 'users'";
            fixture.eventually("the first cursor to be written at once", cursor, &head).await;
        }
        cursors.push(fixture.cursor(tenancy, "users").await);
    }
    assert!(cursors.iter().all(|cursor| *cursor == cursors[0]), "the next write is due in an hour: {cursors:?}");
    // Nothing of that is left to others when a worker stops.
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default(), "all messages were acknowledged");
    assert_eq!(fixture.cursor(tenancy, "users").await, fixture.head().await);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_queue() {
    let fixture = WorkerFixture::new().await;
    fixture.without_sweeps().await;
    let workers = [fixture.start(), fixture.start()];
    for round in 0..5 {
        let tenancy = fixture.tenancy().await;
        fixture.user(tenancy, &format!("user {round}")).await;
        fixture.pass().await;
        fixture.announce(&[tenancy], &[]).await;
    }
    fixture.eventually_equal().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}

/// A worker that hangs in its first flush, where `operation` is.
async fn hanging(fixture: &WorkerFixture, operation: Operation) -> (crate::fixture::Running, TenancyId) {
    let tenancy = fixture.tenancy().await;
    fixture.users(tenancy, 5).await;
    fixture.pass().await;
    fixture.announce(&[tenancy], &[]).await;
    let destination = Faulty::new(fixture.clickhouse.clone());
    destination.script(operation, [Some(Fault::Hang)]);
    // It is the message that counts here.
    let limits = Limits { stop_within: Duration::from_millis(200), sweep_every: DEADLINE * 10, ..Limits::default() };
    let worker = fixture.start_to(destination.clone(), limits);
    eventually("the flush to hang", DEADLINE, async || Ok(destination.left() == 0)).await.unwrap();
    (worker, tenancy)
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_a_flush_for_ever_and_gives_its_message_back() {
    let fixture = WorkerFixture::new().await;
    let (worker, tenancy) = hanging(&fixture, Operation::Write).await;
    worker.stop().await;
    assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::BASE);
    eventually("the message to be back", DEADLINE, async || Ok(fixture.depths().await.ready == 1)).await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_a_flush_leaves_it_to_the_next() {
    let fixture = WorkerFixture::new().await;
    let (dying, tenancy) = hanging(&fixture, Operation::Advance).await;
    fixture.eventually("its rows to be written", "SELECT count() FROM {views}.users", "5").await;
    dying.kill().await;
    assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::BASE);
    let worker =
        fixture.start_to(fixture.clickhouse.clone(), Limits { sweep_every: DEADLINE * 10, ..Limits::default() });
    eventually("the cursor to move", DEADLINE, async || Ok(fixture.cursor(tenancy, "users").await > SequenceId::BASE))
        .await
        .unwrap();
    fixture.eventually_equal().await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default());
    fixture.remove().await;
}
