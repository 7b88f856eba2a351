//! ISO-1: no row of one tenant is ever written under another.

use lockstep_core::SequenceId;
use lockstep_worker::Limits;

use crate::fixture::WorkerFixture;

/// A source that places a tenancy elsewhere at every look, as a broken query would: it lives where no pass has written it
/// down, and what is written down changes.
const RESTLESS: &str = r#"UPDATE "Tenancy" SET "branchId" = "branchId" || ' of somebody else';
    ALTER TABLE lockstep.tenancy_location RENAME TO honest_location;
    CREATE VIEW lockstep.tenancy_location AS SELECT tenancy_id, project_id, clock_timestamp()::text AS branch_id, recorded_at, gone_at
    FROM lockstep.honest_location"#;
const HONEST: &str =
    r#"DROP VIEW lockstep.tenancy_location; ALTER TABLE lockstep.honest_location RENAME TO tenancy_location"#;

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_a_row_that_belongs_elsewhere_is_refused_and_nothing_is_written() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    fixture.users(tenancy, 3).await;
    fixture.pass().await;
    fixture.run_sql(RESTLESS).await;
    let mut flusher = fixture.flusher(Limits::default());
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    assert_eq!(flushed.failed.len(), 1, "{flushed:?}");
    assert!(flushed.failed[0].reason.starts_with("users: LS-0404"), "{}", flushed.failed[0].reason);
    assert_eq!(fixture.ask("SELECT count() FROM {raw}.users").await, "0");
    assert_eq!(fixture.cursor(tenancy, "users").await, SequenceId::BASE);
    fixture.run_sql(HONEST).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iso_1_tenancies_that_share_project_and_branch_keep_their_rows_apart() {
    let fixture = WorkerFixture::new().await;
    let first = fixture.tenancy().await;
    let second = fixture.tenancy().await;
    fixture
        .run_sql(&format!(
            r#"UPDATE "Tenancy" SET "projectId" = 'project {first}', "hasNoOrganization" = NULL, "organizationId" = '{first}' WHERE "id" = '{second}'"#
        ))
        .await;
    let user = fixture.user(first, "Ada").await;
    fixture.user(second, "Grace").await;
    fixture.pass_and_flush(&[first, second]).await;
    fixture.assert_equal().await;
    fixture.run_sql(&format!(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = '{user}'"#)).await;
    fixture.pass_and_flush(&[second, first]).await;
    assert_eq!(fixture.ask("SELECT display_name FROM {views}.users").await, "Grace");
    fixture.remove().await;
}
