//! A row that was deleted does not come back: what was read too long ago is not written, and tombstones stay until then.

use lockstep_core::TenancyId;
use lockstep_destinations::ClickHouse;
use lockstep_testkit::databases::TestDatabase;
use lockstep_testkit::held::Held;
use lockstep_worker::{Flushed, Limits};
use tokio::task::JoinHandle;

use crate::fixture::House;

const SEEN: &str = "SELECT count() FROM {views}.users";
const THERE: &str = "SELECT count() FROM {raw}.users";

/// One worker has read a user, and stands still; the user is deleted, and another worker writes the tombstone.
async fn a_worker_that_stands_still(house: &House, limit: &str) -> (Held<ClickHouse>, JoinHandle<Flushed>, TenancyId) {
    let tenancy = house.tenancy().await;
    house.user(tenancy, "ada").await;
    house.stamp().await;
    house.limit_late_writes(limit).await;
    let held = Held::new(house.clickhouse.clone());
    let mut flusher = house.flusher_to(held.clone(), Limits::default());
    let news = house.news(&[tenancy]);
    let flush = tokio::spawn(async move { flusher.flush(&news).await });
    held.until_held(1).await;
    // The other has all the time, however slow the machine is.
    house.limit_late_writes("1 hour").await;
    house.run_sql(r#"DELETE FROM "ProjectUser""#).await;
    house.stamp_and_flush(&[tenancy]).await;
    assert_eq!(house.ask(SEEN).await, "0");
    assert_eq!(house.ask(THERE).await, "1", "the tombstone");
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
    house.rounds("the tombstone to be dropped", |done| done.dropped == 1).await;
    assert_eq!(house.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(flushed.held.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert_eq!(house.ask(SEEN).await, "1", "nothing would have to be waited for");
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_worker_that_stood_still_writes_nothing_when_its_time_is_over() {
    let house = House::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&house, "1 second").await;
    house.rounds("the tombstone to be dropped", |done| done.dropped == 1).await;
    assert_eq!(house.ask(THERE).await, "0");
    held.let_go();
    let flushed = flush.await.unwrap();
    assert!(!flushed.held.is_empty() && flushed.failed.is_empty(), "{flushed:?}");
    assert!(flushed.hold_reason.unwrap().contains("LS-0209"));
    assert_eq!(house.ask(SEEN).await, "0");
    // What is held is read anew.
    house.user(tenancy, "grace").await;
    house.stamp_and_flush(&[tenancy]).await;
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_nothing_of_a_tenancy_arrives_behind_its_erasure() {
    let house = House::new().await;
    let (held, flush, tenancy) = a_worker_that_stands_still(&house, "1 second").await;
    let places = house.places(tenancy).await;
    house.delete_tenancy(tenancy).await;
    house.rounds("the erasure", |done| done.erased == 1).await;
    held.let_go();
    assert!(flush.await.unwrap().hold_reason.unwrap().contains("LS-0209"));
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
    let tenancy = house.tenancy().await;
    house.users(tenancy, 50).await;
    house.stamp_and_flush(&[tenancy]).await;
    house.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'new'"#).await;
    house.stamp_and_flush(&[tenancy]).await;
    house.run_sql(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" IN (SELECT "projectUserId" FROM "ProjectUser" LIMIT 20)"#).await;
    house.stamp_and_flush(&[tenancy]).await;
    // While a base snapshot is under way nothing is dropped.
    house.run_sql("UPDATE lockstep.snapshot SET finished_at = NULL").await;
    house.limit_late_writes("1 second").await;
    until_tombstones_are_old(&house).await;
    let mut janitor = house.janitor();
    for _ in 0..house.set.iter().count() {
        assert_eq!(janitor.round().await.unwrap().dropped, 0);
    }
    drop(janitor);
    house.run_sql("UPDATE lockstep.snapshot SET finished_at = now()").await;
    house.rounds("deleted rows to be dropped", |done| done.dropped == 20).await;
    assert_eq!(house.ask(THERE).await, "30");
    house.assert_equal().await;
    let noted = "SELECT sum(dropped_rows)::bigint FROM lockstep.clean_up";
    assert_eq!(house.number(noted).await, 20);
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_tombstones_are_pruned_when_all_have_passed_them_and_their_time_is_over() {
    let house = House::attached_to(TestDatabase::standalone().await.unwrap()).await;
    let tenancies = [house.tenancy().await, house.tenancy().await];
    for tenancy in tenancies {
        house.users(tenancy, 10).await;
    }
    house.stamp_and_flush(&tenancies).await;
    house.run_sql(r#"DELETE FROM "ProjectUser""#).await;
    // A whole row that another tool keeps in the same table, and one that is of no table of ours.
    house
        .run_sql(&format!(
            r#"INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "data", "deletedAt") VALUES
               (gen_random_uuid(), '{0}', 'ProjectUser', '{{}}', '{{"a": 1}}', '2020-01-01'),
               (gen_random_uuid(), '{0}', 'Invoice', '{{}}', NULL, '2020-01-01')"#,
            tenancies[0]
        ))
        .await;
    house.stamp_and_flush(&tenancies[..1]).await;
    let left = r#"SELECT count(*) FROM "DeletedRow""#;
    assert_eq!(house.number(left).await, 22);
    assert_eq!(house.janitor().round().await.unwrap().pruned, 0, "their retention is a week");
    house.run_sql("UPDATE lockstep.setting SET value = '0' WHERE name = 'tombstone_retention'").await;
    assert_eq!(house.janitor().round().await.unwrap().pruned, 10, "those of one tenancy were not shipped");
    assert_eq!(house.number(left).await, 12);
    house.stamp_and_flush(&tenancies[1..]).await;
    house.assert_equal().await;
    assert_eq!(house.janitor().round().await.unwrap().pruned, 10);
    assert_eq!(house.number(left).await, 2, "what is not ours");
    house.remove().await;
}
