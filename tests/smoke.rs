//! The whole way once: one row of one mapping, from Postgres to ClickHouse, and the verifier agrees. The template of a
//! new test.

use anyhow::Result;

use crate::stage::Stage;

#[tokio::test]
async fn smoke_one_row_arrives_and_is_verified() -> Result<()> {
    // A Lockstep of its own: source database, queues and ClickHouse databases that no other test sees.
    let stage = Stage::empty().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage
        .sql(
            r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('engines', 'Engines', TRUE, now());
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
               VALUES ('11111111-1111-1111-1111-111111111111', 'engines', 'main', 'TRUE', now());
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES ('11111111-1111-1111-1111-111111111111', '22222222-2222-2222-2222-222222222222', 'engines', 'main', 'Ada', now())"#,
        )
        .await?;
    // `lockstep wait --all`: never a pause, and no condition of the test's own where this one says it.
    stage.in_step().await?;
    let row = "SELECT project_id, branch_id, id, display_name FROM {views}.users";
    assert_eq!(stage.seen(row).await?, "engines\tmain\t22222222-2222-2222-2222-222222222222\tAda");
    let verified = stage.verifier(&["--mapping", "users"]).await?;
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    // Stops the programs, fails if one of them did, and leaves nothing behind.
    stage.end(programs).await
}
