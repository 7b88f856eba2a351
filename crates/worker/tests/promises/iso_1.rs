//! ISO-1: no row of one tenant is ever written under another.

use lockstep_core::SequenceId;
use lockstep_worker::Limits;

use crate::fixture::House;

/// A source that places a tenancy elsewhere at every look, as a broken query would: it lives where no pass has written it
/// down, and what is written down changes.
const RESTLESS: &str = r#"UPDATE "Tenancy" SET "branchId" = "branchId" || ' of somebody else';
    ALTER TABLE lockstep.tenancy_location RENAME TO honest_location;
    CREATE VIEW lockstep.tenancy_location AS SELECT tenancy_id, project_id, clock_timestamp()::text AS branch_id, recorded_at, gone_at
    FROM lockstep.honest_location"#;
const HONEST: &str =
    r#"DROP VIEW lockstep.tenancy_location; ALTER TABLE lockstep.honest_location RENAME TO tenancy_location"#;

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_a_row_that_belongs_elsewhere_is_refused_and_nothing_is_kept() {
    let house = House::new().await;
    let tenancy = house.tenancy().await;
    house.users(tenancy, 3).await;
    house.pass().await;
    house.run_sql(RESTLESS).await;
    let mut flusher = house.flusher(Limits::default());
    let flushed = flusher.flush(&house.news(&[tenancy])).await;
    assert_eq!(flushed.failed.len(), 1, "{flushed:?}");
    assert!(flushed.failed[0].reason.starts_with("users: LS-0404"), "{}", flushed.failed[0].reason);
    assert_eq!(house.ask("SELECT count() FROM {raw}.users").await, "0");
    assert_eq!(house.cursor(tenancy, "users").await, SequenceId::BASE);
    house.run_sql(HONEST).await;
    house.pass_and_flush(&[tenancy]).await;
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
    house.pass_and_flush(&[first, second]).await;
    house.assert_equal().await;
    house.run_sql(&format!(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = '{user}'"#)).await;
    house.pass_and_flush(&[second, first]).await;
    assert_eq!(house.ask("SELECT display_name FROM {views}.users").await, "Grace");
    house.remove().await;
}
