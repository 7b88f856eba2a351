//! IDEM-1: shipping any batch again, whole or in part, changes nothing that a reader can see.

use lockstep_testkit::data::{Shape, seed};

use crate::fixture::WorkerFixture;

#[tokio::test(flavor = "multi_thread")]
async fn idem_1_a_batch_that_is_shipped_again_changes_nothing() {
    let fixture = WorkerFixture::new().await;
    seed(&fixture.client, Shape { tenants: 2, rows: 30, seed: 11 }).await.unwrap();
    let tenancies = fixture.tenancies().await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.run_sql(r#"DELETE FROM "Team"; DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    let seen = "SELECT groupBitXor(cityHash64(*)), count() FROM {views}.users";
    let before = fixture.ask(seen).await;
    // As if the cursors had never been written: everything comes again, then one tenancy alone.
    fixture.change("TRUNCATE TABLE {raw}._stack_sync_metadata").await;
    let again = fixture.pass_and_flush(&tenancies).await;
    assert!(again.rows > 60, "nothing was shipped again");
    fixture.change("TRUNCATE TABLE {raw}._stack_sync_metadata").await;
    fixture.pass_and_flush(&tenancies[..1]).await;
    assert_eq!(fixture.ask(seen).await, before);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_without_news_writes_neither_rows_nor_cursors() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    fixture.user(tenancy, "Ada").await;
    fixture.pass_and_flush(&[tenancy]).await;
    let parts = "SELECT count() FROM system.parts WHERE database = '{raw}'";
    let before = fixture.ask(parts).await;
    let mut flusher = fixture.flusher(lockstep_worker::Limits::default());
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    assert_eq!(flushed.rows, 0);
    assert_eq!(fixture.ask(parts).await, before);
    fixture.remove().await;
}
