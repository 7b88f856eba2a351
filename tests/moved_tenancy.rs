//! A tenancy whose branch or project changes takes all its rows along, and leaves nothing behind.

use anyhow::{Result, ensure};
use lockstep_testkit::data::Shape;

use crate::quarantine::{REFUSE, all_else_in_step};
use crate::stage::Stage;
use crate::unreadable::{InvoicesInStep, MEND, invoices_in_step, mended};

/// Nothing is seen at a location, in any view but that of invitations, which do not follow.
async fn nothing_at(stage: &Stage, project: &str, branch: &str) -> Result<()> {
    for view in ["users", "contact_channels", "teams", "team_member_profiles", "email_outboxes", "refresh_tokens"] {
        let rows =
            format!("SELECT count() FROM {{views}}.{view} WHERE project_id = '{project}' AND branch_id = '{branch}'");
        let rows = stage.seen(&rows).await?;
        ensure!(rows == "0", "{rows} rows of {view} were left behind at {project}/{branch}");
    }
    Ok(())
}

#[tokio::test]
async fn moved_tenancy_takes_all_its_rows_along() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for (statement, left) in [
        (r#"UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#, ("engines", "main")),
        // A cascade through the foreign key.
        (r#"UPDATE "Project" SET "id" = 'calculators' WHERE "id" = 'engines'"#, ("engines", "next")),
        (r#"UPDATE "Tenancy" SET "projectId" = 'compilers' WHERE "id" = id('engines')"#, ("calculators", "next")),
        // Back to where it was.
        (
            r#"UPDATE "Project" SET "id" = 'engines' WHERE "id" = 'calculators';
               UPDATE "Tenancy" SET "projectId" = 'engines', "branchId" = 'main' WHERE "id" = id('engines')"#,
            ("compilers", "next"),
        ),
        // Two at once.
        (
            r#"UPDATE "Tenancy" SET "branchId" = 'one' WHERE "id" = id('engines');
               UPDATE "Tenancy" SET "branchId" = 'two' WHERE "id" = id('compilers')"#,
            ("compilers", "main"),
        ),
    ] {
        stage.sql(statement).await?;
        stage.equal().await?;
        nothing_at(&stage, left.0, left.1).await?;
    }
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn moved_tenancy_leaves_nothing_behind_of_what_changes_and_goes_meanwhile() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    worker.signal("STOP").await?;
    stage
        .sql(
            r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada');
               UPDATE "ProjectUser" SET "displayName" = 'moves' WHERE "projectUserId" = id('charles')"#,
        )
        .await?;
    stage.numbered().await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#).await?;
    stage.numbered().await?;
    stage.sql(r#"DELETE FROM "Team" WHERE "teamId" = id('analytical'); DELETE FROM "ProjectUser" WHERE "projectUserId" = id('mary')"#).await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'last' WHERE "id" = id('engines')"#).await?;
    worker.signal("CONT").await?;
    stage.equal().await?;
    nothing_at(&stage, "engines", "main").await?;
    nothing_at(&stage, "engines", "next").await?;
    stage.end([sequencer, worker]).await
}

/// Invitations are found by project and branch: where the tenancy goes, it finds others.
#[tokio::test]
async fn moved_tenancy_meets_the_invitations_of_its_new_place() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
               VALUES ('engines', 'next', id('waiting'), 'TEAM_INVITATION', 'secret-waiting', '{}', '2030-01-01', now())"#,
        )
        .await?;
    stage.equal().await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#).await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.team_invitations WHERE project_id = 'engines'").await?, "1");
    // Another tenancy takes the old place, and the invitations that stayed there.
    stage
        .sql(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('heirs'), 'engines', 'main', 'TRUE', now())"#,
        )
        .await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.team_invitations WHERE project_id = 'engines'").await?, "3");
    // With an organisation it is no longer the one that invitations belong to.
    stage
        .sql(r#"UPDATE "Tenancy" SET "hasNoOrganization" = NULL, "organizationId" = id('o') WHERE "id" = id('heirs')"#)
        .await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.team_invitations WHERE project_id = 'engines'").await?, "1");
    stage.end(programs).await
}

/// Tenancies that differ only in their organisation share a location; each takes only its own rows along.
#[tokio::test]
async fn moved_tenancy_does_not_take_its_neighbours_rows() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 20, seed: 5 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let sharing =
        r#"SELECT count(*) FROM "Tenancy" t JOIN "Tenancy" o USING ("projectId", "branchId") WHERE t."id" <> o."id""#;
    ensure!(stage.number(sharing).await? == 2, "no tenancies share a location");
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'moved' WHERE "organizationId" IS NOT NULL"#).await?;
    stage.equal().await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'main' WHERE "branchId" = 'moved'"#).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn moved_tenancy_that_goes_and_comes_back_elsewhere_leaves_nothing_behind() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"DELETE FROM "Tenancy" WHERE "id" = id('engines');
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('engines'), 'engines', 'again', 'TRUE', now())"#,
        )
        .await?;
    stage.equal().await?;
    nothing_at(&stage, "engines", "main").await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users WHERE branch_id = 'again'").await?, "3");
    // And, with time between, at its old place.
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    stage.in_step().await?;
    stage
        .sql(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('engines'), 'engines', 'main', 'TRUE', now())"#,
        )
        .await?;
    stage.equal().await?;
    nothing_at(&stage, "engines", "again").await?;
    stage.end(programs).await
}

/// A row that ClickHouse refuses does not stay where its tenancy was, in the sight of whoever lives there now (ISO-1).
#[tokio::test]
async fn moved_tenancy_leaves_nothing_behind_of_a_row_that_is_refused() -> Result<()> {
    let stage = Stage::small().await?;
    stage.in_clickhouse(REFUSE).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada');
               UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#,
        )
        .await?;
    all_else_in_step(&stage).await?;
    nothing_at(&stage, "engines", "main").await?;
    // Nor does a row stay there that nobody has, when all is filled again.
    stage.in_clickhouse("INSERT INTO {raw}.users SELECT * EXCEPT sync_created_at REPLACE (generateUUIDv4() AS id, 1 AS sync_sequence_id, 'main' AS branch_id), now64(3) FROM {raw}.users FINAL WHERE project_id = 'engines' LIMIT 1").await?;
    let held = stage.installation.run("lockstep", &["resync", "--mapping", "users"]).await?;
    ensure!(held.code == Some(2) && held.stderr.contains("quarantine"), "{held:?}");
    nothing_at(&stage, "engines", "main").await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Ada' WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// Nor does a row that Postgres cannot give.
#[tokio::test]
async fn moved_tenancy_leaves_nothing_behind_of_a_row_that_cannot_be_read() -> Result<()> {
    let InvoicesInStep { stage, programs, definitions: _definitions } = invoices_in_step().await?;
    stage
        .sql(
            r#"UPDATE "Invoice" SET "netCents" = 9223372036854775807 WHERE "id" = id('huge');
            UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#,
        )
        .await?;
    all_else_in_step(&stage).await?;
    let left = "SELECT count() FROM {views}.invoices WHERE project_id = 'engines' AND branch_id = 'main'";
    assert_eq!(stage.seen(left).await?, "0", "it was left behind");
    mended(&stage, MEND).await?;
    stage.end(programs).await
}
