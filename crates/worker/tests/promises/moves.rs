//! A tenancy that moves takes all its rows with it.

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, seed};

use crate::fixture::House;

async fn move_to(house: &House, tenancy: TenancyId, branch: &str) {
    let sql = format!(r#"UPDATE "Tenancy" SET "branchId" = '{branch}' WHERE "id" = '{tenancy}'"#);
    house.run_sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenancy_that_moved_leaves_nothing_where_it_was() {
    let house = House::new().await;
    seed(&house.client, Shape { tenants: 5, rows: 20, seed: 21 }).await.unwrap();
    let tenancies = house.tenancies().await;
    house.pass_and_flush(&tenancies).await;
    house.assert_equal().await;
    for tenancy in &tenancies {
        move_to(&house, *tenancy, &format!("moved {tenancy}")).await;
    }
    // Between the two moves some rows go.
    house.run_sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous"; DELETE FROM "Team""#).await;
    house.pass_and_flush(&tenancies).await;
    house.assert_equal().await;
    // On, and back to where it was first.
    move_to(&house, tenancies[0], "third").await;
    house.pass_and_flush(&tenancies).await;
    house.assert_equal().await;
    move_to(&house, tenancies[0], &format!("moved {}", tenancies[0])).await;
    house.pass_and_flush(&tenancies).await;
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenancy_that_moves_between_two_pages_leaves_nothing_behind() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    house.users(tenancy, 50).await;
    house.pass().await;
    let page = lockstep_mappings::postgres::fetch::PageLimits { tenancy_rows: 20, total_rows: 1000 };
    let mut flusher = house.flusher(lockstep_worker::Limits { page, ..lockstep_worker::Limits::default() });
    let flushed = flusher.flush(&house.news(&[tenancy])).await;
    assert!(!flushed.more.is_empty());
    move_to(&house, tenancy, "elsewhere").await;
    house.pass().await;
    let mut news = flushed.more;
    while !news.is_empty() {
        news = flusher.flush(&news).await.more;
    }
    house.assert_equal().await;
    house.remove().await;
}
