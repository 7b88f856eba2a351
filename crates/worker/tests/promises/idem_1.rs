//! IDEM-1: shipping any batch again, whole or in part, changes nothing that a reader can see.

use lockstep_testkit::data::{Shape, seed};

use crate::fixture::House;

#[tokio::test(flavor = "multi_thread")]
async fn idem_1_a_batch_that_is_shipped_again_changes_nothing() {
    let house = House::new().await;
    seed(&house.client, Shape { tenants: 2, rows: 30, seed: 11 }).await.unwrap();
    let tenancies = house.tenancies().await;
    house.pass_and_flush(&tenancies).await;
    house.run_sql(r#"DELETE FROM "Team"; DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await;
    house.pass_and_flush(&tenancies).await;
    house.assert_equal().await;
    let seen = "SELECT groupBitXor(cityHash64(*)), count() FROM {views}.users";
    let before = house.ask(seen).await;
    // As if the cursors had never been written: everything comes again, then one tenancy alone.
    house.change("TRUNCATE TABLE {raw}._stack_sync_metadata").await;
    let again = house.pass_and_flush(&tenancies).await;
    assert!(again.rows > 60, "nothing was shipped again");
    house.change("TRUNCATE TABLE {raw}._stack_sync_metadata").await;
    house.pass_and_flush(&tenancies[..1]).await;
    assert_eq!(house.ask(seen).await, before);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_without_news_writes_neither_rows_nor_cursors() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    house.user(tenancy, "Ada").await;
    house.pass_and_flush(&[tenancy]).await;
    let parts = "SELECT count() FROM system.parts WHERE database = '{raw}'";
    let before = house.ask(parts).await;
    let mut flusher = house.flusher(lockstep_worker::Limits::default());
    let flushed = flusher.flush(&house.news(&[tenancy])).await;
    assert_eq!(flushed.rows, 0);
    assert_eq!(house.ask(parts).await, before);
    house.remove().await;
}
