//! A tenancy that moves takes all its rows with it.

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, seed};

use crate::fixture::WorkerFixture;

async fn move_to(fixture: &WorkerFixture, tenancy: TenancyId, branch: &str) {
    let sql = format!(r#"UPDATE "Tenancy" SET "branchId" = '{branch}' WHERE "id" = '{tenancy}'"#);
    fixture.run_sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenancy_that_moved_leaves_nothing_where_it_was() {
    let fixture = WorkerFixture::new().await;
    seed(&fixture.client, Shape { tenants: 5, rows: 20, seed: 21 }).await.unwrap();
    let tenancies = fixture.tenancies().await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    for tenancy in &tenancies {
        move_to(&fixture, *tenancy, &format!("moved {tenancy}")).await;
    }
    // Between the two moves some rows go.
    fixture.run_sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous"; DELETE FROM "Team""#).await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    // On, and back to where it was first.
    move_to(&fixture, tenancies[0], "third").await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    move_to(&fixture, tenancies[0], &format!("moved {}", tenancies[0])).await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenancy_that_moves_between_two_pages_leaves_nothing_behind() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    fixture.users(tenancy, 50).await;
    fixture.pass().await;
    let page = lockstep_mappings::postgres::fetch::PageLimits { tenancy_rows: 20, total_rows: 1000 };
    let mut flusher = fixture.flusher(lockstep_worker::Limits { page, ..lockstep_worker::Limits::default() });
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    assert!(!flushed.more.is_empty());
    move_to(&fixture, tenancy, "elsewhere").await;
    fixture.pass().await;
    let mut hints = flushed.more;
    while !hints.is_empty() {
        hints = flusher.flush(&hints).await.more;
    }
    fixture.assert_equal().await;
    fixture.remove().await;
}
