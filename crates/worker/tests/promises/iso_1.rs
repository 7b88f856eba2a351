//! ISO-1: no row of one tenant is ever written under another.

use lockstep_core::SequenceId;
use lockstep_worker::Limits;

use crate::fixture::House;

/// A source that places a tenancy elsewhere at every look, as a broken query would.
const RESTLESS: &str = r#"ALTER TABLE "Tenancy" RENAME TO "RealTenancy";
    CREATE VIEW "Tenancy" AS SELECT "id", "projectId", clock_timestamp()::text AS "branchId", "organizationId", "hasNoOrganization"
    FROM "RealTenancy""#;
const HONEST: &str = r#"DROP VIEW "Tenancy"; ALTER TABLE "RealTenancy" RENAME TO "Tenancy""#;

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_a_row_that_belongs_elsewhere_is_refused_and_nothing_is_kept() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    house.users(tenancy, 3).await;
    house.stamp().await;
    house.run_sql(RESTLESS).await;
    let mut flusher = house.flusher(Limits::default());
    let flushed = flusher.flush(&house.news(&[tenancy])).await;
    assert_eq!(flushed.failed.len(), 1, "{flushed:?}");
    assert!(flushed.failed[0].reason.starts_with("users: LS-0404"), "{}", flushed.failed[0].reason);
    assert_eq!(house.ask("SELECT count() FROM {raw}.users").await, "0");
    assert_eq!(house.cursor(tenancy, "users").await, SequenceId::BASE);
    house.run_sql(HONEST).await;
    house.stamp_and_flush(&[tenancy]).await;
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_tenancies_that_share_project_and_branch_keep_their_rows_apart() {
    let house = House::new().await;
    let first = house.tenancy().await;
    let second = house.tenancy().await;
    house
        .run_sql(&format!(
            r#"UPDATE "Tenancy" SET "projectId" = 'project {first}', "hasNoOrganization" = NULL, "organizationId" = '{first}' WHERE "id" = '{second}'"#
        ))
        .await;
    let user = house.user(first, "Ada").await;
    house.user(second, "Grace").await;
    house.stamp_and_flush(&[first, second]).await;
    house.assert_equal().await;
    house.run_sql(&format!(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = '{user}'"#)).await;
    house.stamp_and_flush(&[second, first]).await;
    assert_eq!(house.ask("SELECT display_name FROM {views}.users").await, "Grace");
    house.remove().await;
}
