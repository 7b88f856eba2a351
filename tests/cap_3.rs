//! CAP-3: a row whose exported columns come from other rows follows them.

use anyhow::Result;

use crate::stage::Stage;

const ADA: &str =
    "SELECT primary_email, primary_email_verified FROM {views}.users WHERE id = UUIDNumToString(MD5('ada'))";
const INVITATION: &str =
    "SELECT team_display_name FROM {views}.team_invitations WHERE id = UUIDNumToString(MD5('invitation'))";

#[tokio::test]
async fn cap_3_a_user_follows_its_primary_address() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    assert_eq!(stage.seen(ADA).await?, "ada@example.com\t1");
    for (what, statement, seen) in [
        (
            "no longer verified",
            r#"UPDATE "ContactChannel" SET "isVerified" = FALSE WHERE "id" = id('ada')"#,
            "ada@example.com\t0",
        ),
        (
            "changed",
            r#"UPDATE "ContactChannel" SET "value" = 'augusta@example.com' WHERE "id" = id('ada')"#,
            "augusta@example.com\t0",
        ),
        ("not primary", r#"UPDATE "ContactChannel" SET "isPrimary" = NULL WHERE "id" = id('ada')"#, "\\N\t0"),
        (
            "inserted",
            r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
               VALUES (id('engines'), id('ada'), id('third'), 'EMAIL', 'TRUE', TRUE, 'third@example.com', now())"#,
            "third@example.com\t1",
        ),
        (
            "swapped",
            r#"UPDATE "ContactChannel" SET "isPrimary" = NULL WHERE "id" = id('third');
               UPDATE "ContactChannel" SET "isPrimary" = 'TRUE' WHERE "id" = id('lovelace')"#,
            "lovelace@example.com\t0",
        ),
        ("deleted", r#"DELETE FROM "ContactChannel" WHERE "id" = id('lovelace')"#, "\\N\t0"),
        (
            "moved here from another user",
            r#"UPDATE "ContactChannel" SET "projectUserId" = id('ada') WHERE "id" = id('charles')"#,
            "charles@example.com\t1",
        ),
        ("truncated", r#"TRUNCATE "ContactChannel""#, "\\N\t0"),
    ] {
        stage.sql(statement).await?;
        stage.equal().await?;
        assert_eq!(stage.seen(ADA).await?, seen, "{what}");
    }
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn cap_3_an_invitation_follows_its_team() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    assert_eq!(stage.seen(INVITATION).await?, "analytical");
    for (what, statement, seen) in [
        (
            "renamed",
            r#"UPDATE "Team" SET "displayName" = 'Analytical Engine' WHERE "teamId" = id('analytical')"#,
            "Analytical Engine",
        ),
        ("deleted", r#"DELETE FROM "Team" WHERE "teamId" = id('analytical')"#, ""),
        (
            "come into being",
            r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES (id('engines'), id('analytical'), 'engines', 'main', 'Again', now())"#,
            "Again",
        ),
        ("gone under another id", r#"UPDATE "Team" SET "teamId" = id('other') WHERE "teamId" = id('analytical')"#, ""),
        (
            "taken by another team",
            r#"UPDATE "Team" SET "teamId" = id('analytical') WHERE "teamId" = id('difference')"#,
            "difference",
        ),
    ] {
        stage.sql(statement).await?;
        stage.equal().await?;
        assert_eq!(stage.seen(INVITATION).await?, seen, "{what}");
    }
    stage.verified().await?;
    stage.end(programs).await
}

/// Neither transaction sees the other: who comes first must not matter.
#[tokio::test]
async fn cap_3_an_invitation_written_while_its_team_is_renamed_ends_with_the_new_name() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    for (name, rename_first) in [("rename first", true), ("invitation first", false)] {
        let (renaming, inviting) = (stage.connect().await?, stage.connect().await?);
        renaming
            .batch_execute(&format!(
                r#"BEGIN; UPDATE "Team" SET "displayName" = '{name}' WHERE "teamId" = id('analytical')"#
            ))
            .await?;
        inviting
            .batch_execute(&format!(
                r#"BEGIN; INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
                   VALUES ('engines', 'main', id('{name}'), 'TEAM_INVITATION', 'secret-{name}', jsonb_build_object('team_id', id('analytical')), '2030-01-01', now())"#
            ))
            .await?;
        let (first, then) = if rename_first { (renaming, inviting) } else { (inviting, renaming) };
        first.batch_execute("COMMIT").await?;
        // Everything that the first one left to do is done before the second commits.
        stage.equal().await?;
        then.batch_execute("COMMIT").await?;
        stage.equal().await?;
        let seen = format!(
            "SELECT team_display_name FROM {{views}}.team_invitations WHERE id = UUIDNumToString(MD5('{name}'))"
        );
        assert_eq!(stage.seen(&seen).await?, name);
    }
    stage.end(programs).await
}

#[tokio::test]
async fn cap_3_an_address_written_while_its_user_is_held_arrives() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let holding = stage.connect().await?;
    holding.batch_execute(r#"BEGIN; SELECT 1 FROM "ProjectUser" WHERE "projectUserId" = id('ada') FOR UPDATE"#).await?;
    stage.sql(r#"UPDATE "ContactChannel" SET "value" = 'held@example.com' WHERE "id" = id('ada')"#).await?;
    // Nothing waits until it is let go: no row is written to.
    stage.equal().await?;
    holding.batch_execute("COMMIT").await?;
    assert_eq!(stage.seen(ADA).await?, "held@example.com\t1");
    stage.end(programs).await
}
