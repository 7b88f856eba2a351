//! ISO-1: no row of one tenant is ever written under, or readable by, another.

mod access;
mod files;
mod hostile;
mod statements;
mod tenant;

use anyhow::Result;

use crate::stage::Stage;

/// Rows say themselves whose they are; what else they say about it does not count.
#[tokio::test]
async fn iso_1_rows_are_written_under_the_place_of_their_tenancy_alone() -> Result<()> {
    let stage = Stage::small().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "mirroredProjectId" = 'compilers', "projectId" = 'compilers' WHERE "projectUserId" = id('mary');
               -- The same ids in another tenancy.
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               SELECT id('compilers'), "projectUserId", 'compilers', 'main', 'another ' || "displayName", now() FROM "ProjectUser" WHERE "tenancyId" = id('engines') AND "projectUserId" <> id('mary');
               INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
               SELECT id('compilers'), "projectUserId", "id", "type", "isPrimary", "isVerified", 'other-' || "value", now() FROM "ContactChannel" WHERE "tenancyId" = id('engines');
               -- An invitation that names a team of another project.
               UPDATE "VerificationCode" SET "data" = jsonb_build_object('team_id', id('cobol')) WHERE "id" = id('invitation')"#,
        )
        .await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let mary = "SELECT project_id FROM {views}.users WHERE display_name = 'mary'";
    assert_eq!(stage.seen(mary).await?, "engines");
    let invitation =
        "SELECT team_display_name FROM {views}.team_invitations WHERE id = UUIDNumToString(MD5('invitation'))";
    assert_eq!(stage.seen(invitation).await?, "", "it shows the name of another tenant's team");
    // What goes in one tenancy stays in the other.
    stage.sql(r#"DELETE FROM "ProjectUser" WHERE "tenancyId" = id('engines')"#).await?;
    stage.equal().await?;
    let others = "SELECT project_id, groupArray(display_name) FROM (SELECT * FROM {views}.users ORDER BY display_name) GROUP BY project_id";
    assert_eq!(stage.seen(others).await?, "compilers\t['another ada','another charles','grace']");
    stage.verified().await?;
    stage.end(programs).await
}
