//! A row that was deleted does not come back: what was read too long ago is not written, and tombstones stay until then.

use lockstep_core::TenancyId;
use lockstep_destinations::ClickHouse;
use lockstep_destinations::faulty::Faulty;
use lockstep_mappings::clickhouse::{IN_TIME, raw_table};
use lockstep_worker::{Flushed, Limits};
use tokio::task::JoinHandle;

use crate::fixture::WorkerFixture;

const SEEN: &str = "SELECT count() FROM {views}.users";
const THERE: &str = "SELECT count() FROM {raw}.users";
/// A tombstone for each change of the user: one that is read late shows what became of it.
const TOMBSTONES_ALONE: &str = "SELECT count() > 0 AND min(sync_is_deleted) = 1 FROM {raw}.users";

/// One worker has read a user, and stands still; the user is deleted, and another worker writes the tombstone.
async fn a_worker_that_stands_still(
    fixture: &WorkerFixture,
    limit: &str,
) -> (Faulty<ClickHouse>, JoinHandle<Flushed>, TenancyId) {
    let tenancy = fixture.known_tenancy().await;
    fixture.user(tenancy, "ada").await;
    fixture.pass().await;
    fixture.limit_late_writes(limit).await;
    let held = Faulty::holding_writes(fixture.clickhouse.clone());
    let mut flusher = fixture.flusher_to(held.clone(), Limits::default());
    let hints = fixture.hints(&[tenancy]);
    let flush = tokio::spawn(async move { flusher.flush(&hints).await });
    held.until_held(1).await;
    // The other has all the time, however slow the machine is.
    fixture.limit_late_writes("1 hour").await;
    fixture.run_sql(r#"DELETE FROM "ProjectUser""#).await;
    fixture.pass_and_flush(&[tenancy]).await;
    assert_eq!(fixture.ask(SEEN).await, "0");
    assert_eq!(fixture.ask(TOMBSTONES_ALONE).await, "1");
    (held, flush, tenancy)
}

/// Older than a limit of a second asks for.
async fn until_tombstones_are_old(fixture: &WorkerFixture) {
    let old = "SELECT min(sync_created_at) < now64(3) - INTERVAL 2 SECOND FROM {raw}.users WHERE sync_is_deleted = 1";
    fixture.eventually("tombstones to be old enough", old, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tombstone_that_is_dropped_too_early_lets_a_deleted_row_come_back() {
    let fixture = WorkerFixture::new().await;
    // The worker has an hour; the janitor does not wait for it.
    let (held, flush, _) = a_worker_that_stands_still(&fixture, "1 hour").await;
    fixture.rounds("the tombstone to be dropped", |done| done.dropped > 0).await;
    assert_eq!(fixture.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(flushed.retry.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert_eq!(fixture.ask(SEEN).await, "1", "nothing would have to be waited for");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_worker_that_stood_still_writes_nothing_when_its_time_is_over() {
    let fixture = WorkerFixture::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&fixture, "1 second").await;
    fixture.rounds("the tombstone to be dropped", |done| done.dropped > 0).await;
    assert_eq!(fixture.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(!flushed.retry.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert!(flushed.retry_reason.unwrap().contains("LS-0209"));
    assert_eq!(fixture.ask(SEEN).await, "0");
    // What is held is read anew.
    fixture.user(tenancy, "grace").await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_nothing_of_a_tenancy_arrives_behind_its_erasure() {
    let fixture = WorkerFixture::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&fixture, "1 second").await;
    let places = fixture.places(tenancy).await;
    fixture.delete_tenancy(tenancy).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    held.let_go();
    assert!(flush.await.unwrap().retry_reason.unwrap().contains("LS-0209"));
    fixture.assert_forgotten(tenancy, &places).await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_limit_that_was_lowered_does_not_shorten_waits_at_once() {
    let fixture = WorkerFixture::new().await;
    let (held, flush, _) = a_worker_that_stands_still(&fixture, "1 hour").await;
    let lower = "UPDATE lockstep.setting SET value = '1 second' WHERE name = 'late_write_limit'";
    fixture.run_sql(lower).await;
    // The hour that the worker was given counts for another hour.
    let waits = "SELECT count(*) FROM lockstep.setting WHERE previous = interval '1 hour' AND changed_at > clock_timestamp() - interval '1 hour'";
    assert_eq!(fixture.number(waits).await, 1);
    until_tombstones_are_old(&fixture).await;
    let mut janitor = fixture.janitor();
    for _ in 0..fixture.set.iter().count() {
        assert_eq!(janitor.round().await.unwrap().dropped, 0);
    }
    held.let_go();
    flush.await.unwrap();
    assert_eq!(fixture.ask(SEEN).await, "0");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_deleted_rows_are_dropped_and_no_others() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 50).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.run_sql(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" IN (SELECT "projectUserId" FROM "ProjectUser" LIMIT 20)"#).await;
    fixture.pass_and_flush(&[tenancy]).await;
    // While a fill is under way nothing is dropped.
    fixture.run_sql("UPDATE lockstep.fill SET finished_at = NULL").await;
    fixture.limit_late_writes("1 second").await;
    until_tombstones_are_old(&fixture).await;
    let mut janitor = fixture.janitor();
    for _ in 0..fixture.set.iter().count() {
        assert_eq!(janitor.round().await.unwrap().dropped, 0);
    }
    drop(janitor);
    fixture.run_sql("UPDATE lockstep.fill SET finished_at = now()").await;
    fixture.rounds("deleted rows to be dropped", |done| done.dropped == 20).await;
    assert_eq!(fixture.ask(THERE).await, "30");
    fixture.assert_equal().await;
    let noted = "SELECT sum(dropped_rows)::bigint FROM lockstep.clean_up";
    assert_eq!(fixture.number(noted).await, 20);
    fixture.remove().await;
}

/// It lost its constraint, or somebody put another in its place.
#[tokio::test(flavor = "multi_thread")]
async fn erase_1_nothing_is_written_into_a_table_that_would_take_what_comes_too_late() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.user(tenancy, "ada").await;
    fixture.pass().await;
    fixture.change(&format!("ALTER TABLE {{raw}}.users DROP CONSTRAINT {IN_TIME}")).await;
    let mut flusher = fixture.flusher(Limits::default());
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    let [failed] = &flushed.failed[..] else { panic!("{flushed:?}") };
    assert!(failed.reason.contains("LS-0204") && failed.reason.contains(IN_TIME), "{}", failed.reason);
    assert_eq!(fixture.ask(THERE).await, "0");
    let users = fixture.set.iter().find(|mapping| mapping.name.as_str() == "users").unwrap();
    fixture.change(&raw_table(users, &fixture.databases).add_in_time()).await;
    fixture.pass_and_flush(&[tenancy]).await;
    assert_eq!(fixture.ask(SEEN).await, "1");
    fixture.assert_equal().await;
    fixture.remove().await;
}
