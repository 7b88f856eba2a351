//! FAIR-1: one huge tenant does not stop the others.

use anyhow::Result;

use crate::stage::Stage;

/// More than two pages hold.
const HUGE_ROWS: u32 = 250_000;

#[tokio::test]
async fn fair_1_a_single_change_arrives_before_a_huge_tenant_is_done() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let writer = stage.connect().await?;
    let huge = format!(
        r#"INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
           SELECT id('engines'), gen_random_uuid(), id('ada'), 'secret-' || n, now() FROM generate_series(1, {HUGE_ROWS}) n"#
    );
    writer.batch_execute(&huge).await?;
    stage
        .sql(r#"UPDATE "ProjectUserRefreshToken" SET "isImpersonation" = TRUE WHERE "projectUserId" = id('grace')"#)
        .await?;
    let small = "SELECT count() FROM {views}.refresh_tokens WHERE project_id = 'compilers' AND is_impersonation = 1";
    stage.until_seen("the single change", small, "1").await?;
    let arrived: u32 =
        stage.seen("SELECT count() FROM {views}.refresh_tokens WHERE project_id = 'engines'").await?.parse()?;
    assert!(arrived < HUGE_ROWS, "the huge tenant was done first: {arrived} rows");
    stage.equal().await?;
    stage.end(programs).await
}
