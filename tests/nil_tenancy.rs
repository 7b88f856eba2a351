//! A tenancy whose id is the nil uuid is one as any other.

use anyhow::Result;

use crate::stage::Stage;

const NIL: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn nil_tenancy_is_synced_paused_exported_again_and_erased_as_any_other() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage
        .sql(&format!(
            r#"INSERT INTO "Tenancy" ("id", "updatedAt", "projectId", "branchId", "hasNoOrganization") VALUES ('{NIL}', now(), 'engines', 'nil', 'TRUE');
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES ('{NIL}', '{NIL}', 'engines', 'nil', 'Nobody', now())"#
        ))
        .await?;
    stage.equal().await?;
    let name = "SELECT display_name FROM {views}.users WHERE branch_id = 'nil'";
    assert_eq!(stage.seen(name).await?, "Nobody");
    // The stream goes on, also where nothing else changes.
    stage.sql(&format!(r#"UPDATE "ProjectUser" SET "displayName" = 'Nemo' WHERE "tenancyId" = '{NIL}'"#)).await?;
    stage.until_seen("its change", name, "Nemo").await?;
    let wait = ["wait", "--tenant", NIL, "--timeout", "60"];
    stage.installation.succeed("lockstep", &wait).await?;
    stage.installation.succeed("lockstep", &["pause", "tenancy", NIL, "--reason", "nil"]).await?;
    stage.sql(&format!(r#"UPDATE "ProjectUser" SET "displayName" = 'Outis' WHERE "tenancyId" = '{NIL}'"#)).await?;
    stage.installation.succeed("lockstep", &["resume", "tenancy", NIL]).await?;
    stage.until_seen("what changed meanwhile", name, "Outis").await?;
    stage.in_clickhouse("ALTER TABLE {raw}.users DELETE WHERE branch_id = 'nil' SETTINGS mutations_sync = 2").await?;
    stage.installation.succeed("lockstep", &["resync", "--tenant", NIL]).await?;
    stage.equal().await?;
    assert_eq!(stage.seen(name).await?, "Outis");
    stage.verified().await?;
    stage.sql(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{NIL}'"#)).await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users WHERE branch_id = 'nil'").await?, "0");
    stage.end(programs).await
}
