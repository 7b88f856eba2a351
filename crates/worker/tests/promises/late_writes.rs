//! A row that was deleted does not come back: what was read too long ago is not written, and tombstones stay until then.

use lockstep_core::TenancyId;
use lockstep_destinations::ClickHouse;
use lockstep_destinations::faulty::Faulty;
use lockstep_worker::{Flushed, Limits};
use tokio::task::JoinHandle;

use crate::fixture::House;

const SEEN: &str = "SELECT count() FROM {views}.users";
const THERE: &str = "SELECT count() FROM {raw}.users";
/// A tombstone for each change of the user: one that is read late shows what became of it.
const TOMBSTONES_ALONE: &str = "SELECT count() > 0 AND min(sync_is_deleted) = 1 FROM {raw}.users";

/// One worker has read a user, and stands still; the user is deleted, and another worker writes the tombstone.
async fn a_worker_that_stands_still(
    house: &House,
    limit: &str,
) -> (Faulty<ClickHouse>, JoinHandle<Flushed>, TenancyId) {
    let tenancy = house.known_tenancy().await;
    house.user(tenancy, "ada").await;
    house.pass().await;
    house.limit_late_writes(limit).await;
    let held = Faulty::holding_writes(house.clickhouse.clone());
    let mut flusher = house.flusher_to(held.clone(), Limits::default());
    let news = house.news(&[tenancy]);
    let flush = tokio::spawn(async move { flusher.flush(&news).await });
    held.until_held(1).await;
    // The other has all the time, however slow the machine is.
    house.limit_late_writes("1 hour").await;
    house.run_sql(r#"DELETE FROM "ProjectUser""#).await;
    house.pass_and_flush(&[tenancy]).await;
    assert_eq!(house.ask(SEEN).await, "0");
    assert_eq!(house.ask(TOMBSTONES_ALONE).await, "1");
    (held, flush, tenancy)
}

/// Older than a limit of a second asks for.
async fn until_tombstones_are_old(house: &House) {
    let old = "SELECT min(sync_created_at) < now64(3) - INTERVAL 2 SECOND FROM {raw}.users WHERE sync_is_deleted = 1";
    house.eventually("tombstones to be old enough", old, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tombstone_that_is_dropped_too_early_lets_a_deleted_row_come_back() {
    let house = House::new().await;
    // The worker has an hour; the janitor does not wait for it.
    let (held, flush, _) = a_worker_that_stands_still(&house, "1 hour").await;
    house.rounds("the tombstone to be dropped", |done| done.dropped > 0).await;
    assert_eq!(house.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(flushed.retry.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert_eq!(house.ask(SEEN).await, "1", "nothing would have to be waited for");
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_worker_that_stood_still_writes_nothing_when_its_time_is_over() {
    let house = House::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&house, "1 second").await;
    house.rounds("the tombstone to be dropped", |done| done.dropped > 0).await;
    assert_eq!(house.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(!flushed.retry.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert!(flushed.retry_reason.unwrap().contains("LS-0209"));
    assert_eq!(house.ask(SEEN).await, "0");
    // What is held is read anew.
    house.user(tenancy, "grace").await;
    house.pass_and_flush(&[tenancy]).await;
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_nothing_of_a_tenancy_arrives_behind_its_erasure() {
    let house = House::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&house, "1 second").await;
    let places = house.places(tenancy).await;
    house.delete_tenancy(tenancy).await;
    house.pass_and_flush(&[tenancy]).await;
    house.rounds("the erasure", |done| done.erased == 1).await;
    held.let_go();
    assert!(flush.await.unwrap().retry_reason.unwrap().contains("LS-0209"));
    house.assert_forgotten(tenancy, &places).await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_limit_that_was_lowered_does_not_shorten_waits_at_once() {
    let house = House::new().await;
    let (held, flush, _) = a_worker_that_stands_still(&house, "1 hour").await;
    let lower = "UPDATE lockstep.setting SET value = '1 second' WHERE name = 'late_write_limit'";
    house.run_sql(lower).await;
    // The hour that the worker was given counts for another hour.
    let waits = "SELECT count(*) FROM lockstep.setting WHERE previous = interval '1 hour' AND changed_at > clock_timestamp() - interval '1 hour'";
    assert_eq!(house.number(waits).await, 1);
    until_tombstones_are_old(&house).await;
    let mut janitor = house.janitor();
    for _ in 0..house.set.iter().count() {
        assert_eq!(janitor.round().await.unwrap().dropped, 0);
    }
    held.let_go();
    flush.await.unwrap();
    assert_eq!(house.ask(SEEN).await, "0");
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_deleted_rows_are_dropped_and_no_others() {
    let house = House::new().await;
    let tenancy = house.known_tenancy().await;
    house.users(tenancy, 50).await;
    house.pass_and_flush(&[tenancy]).await;
    house.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    house.pass_and_flush(&[tenancy]).await;
    house.run_sql(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" IN (SELECT "projectUserId" FROM "ProjectUser" LIMIT 20)"#).await;
    house.pass_and_flush(&[tenancy]).await;
    // While a fill is under way nothing is dropped.
    house.run_sql("UPDATE lockstep.fill SET finished_at = NULL").await;
    house.limit_late_writes("1 second").await;
    until_tombstones_are_old(&house).await;
    let mut janitor = house.janitor();
    for _ in 0..house.set.iter().count() {
        assert_eq!(janitor.round().await.unwrap().dropped, 0);
    }
    drop(janitor);
    house.run_sql("UPDATE lockstep.fill SET finished_at = now()").await;
    house.rounds("deleted rows to be dropped", |done| done.dropped == 20).await;
    assert_eq!(house.ask(THERE).await, "30");
    house.assert_equal().await;
    let noted = "SELECT sum(dropped_rows)::bigint FROM lockstep.clean_up";
    assert_eq!(house.number(noted).await, 20);
    house.remove().await;
}
