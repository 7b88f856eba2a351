//! CAP-2: a row that leaves its mapping, or changes its key, vanishes under the old key; nothing but keys is kept of it.

use anyhow::Result;

use crate::captured::{all_numbered, captured_of};
use crate::stage::Stage;

/// How a key goes, the statements, and what must be captured of it.
const WAYS: [(&str, &str, &str); 9] = [
    (
        "an account is unlinked",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = NULL WHERE "id" = id('account countess')"#,
        "connected_accounts 1",
    ),
    (
        "an account is linked",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account nobody')"#,
        "connected_accounts 1",
    ),
    (
        "an account moves to another user",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account countess')"#,
        "connected_accounts 2",
    ),
    (
        "a code is no invitation any more",
        r#"UPDATE "VerificationCode" SET "type" = 'PASSWORD_RESET' WHERE "id" = id('invitation')"#,
        "team_invitations 1",
    ),
    (
        "a code becomes an invitation",
        r#"UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION' WHERE "id" = id('password')"#,
        "team_invitations 1",
    ),
    // No mapping had it: nothing vanishes.
    ("another code goes", r#"DELETE FROM "VerificationCode" WHERE "id" = id('password')"#, ""),
    (
        "an invitation goes to another project",
        r#"UPDATE "VerificationCode" SET "projectId" = 'compilers' WHERE "id" = id('invitation')"#,
        "team_invitations 2",
    ),
    (
        "a user's id changes",
        r#"UPDATE "ProjectUser" SET "projectUserId" = id('augusta') WHERE "projectUserId" = id('ada')"#,
        "connected_accounts 2, contact_channels 4, notification_preferences 2, project_permissions 2, session_replays 1, \
         team_member_profiles 2, team_permissions 2, users 2",
    ),
    (
        "a team's id changes",
        r#"UPDATE "Team" SET "teamId" = id('difference no. 2') WHERE "teamId" = id('difference')"#,
        "team_invitations.team 2, team_member_profiles 2, team_permissions 2, teams 2",
    ),
];

#[tokio::test]
async fn cap_2_every_key_that_goes_is_written_down() -> Result<()> {
    let stage = all_numbered().await?;
    for (way, statements, expected) in WAYS {
        assert_eq!(captured_of(&stage, statements).await?, expected, "{way}");
    }
    stage.end([]).await
}

#[tokio::test]
async fn cap_2_old_keys_vanish_from_clickhouse_and_come_back_with_their_rows() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let accounts = "SELECT count() FROM {views}.connected_accounts";
    assert_eq!(stage.seen(accounts).await?, "3");
    for (statement, left) in [
        (r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = NULL"#, "0"),
        (r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "tenancyId" = id('engines')"#, "3"),
        (r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('ada') WHERE "projectUserId" = id('mary')"#, "3"),
        (
            r#"UPDATE "ProjectUserOAuthAccount" SET "providerAccountId" = 'queen' WHERE "id" = id('account countess')"#,
            "3",
        ),
    ] {
        stage.sql(statement).await?;
        stage.equal().await?;
        assert_eq!(stage.seen(accounts).await?, left, "{statement}");
    }
    for (_, statement, _) in WAYS {
        stage.sql(statement).await?;
    }
    stage.equal().await?;
    // There and back, between two looks of anybody.
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "projectUserId" = id('ada') WHERE "projectUserId" = id('augusta');
               UPDATE "Team" SET "teamId" = id('difference') WHERE "teamId" = id('difference no. 2');
               UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION', "projectId" = 'engines' WHERE "id" = id('invitation')"#,
        )
        .await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// Tables of Lockstep's own in which something of a secret stands.
pub(crate) const SECRETS: &str = r"
SELECT count(*) FROM pg_tables,
    query_to_xml(format('SELECT 1 FROM lockstep.%I AS line WHERE line::text LIKE %L', tablename, '%secret-%'), FALSE, FALSE, '') AS found
WHERE schemaname = 'lockstep' AND xpath_exists('/table/row', found)";

#[tokio::test]
async fn cap_2_lines_and_changes_hold_keys_and_no_secrets() -> Result<()> {
    let stage = all_numbered().await?;
    for (_, statement, _) in WAYS {
        stage.sql(statement).await?;
    }
    stage
        .sql(
            r#"DELETE FROM "ProjectUserRefreshToken" WHERE "projectUserId" = id('grace'); TRUNCATE "ProjectUserRefreshToken", "VerificationCode";
               DELETE FROM "EmailOutbox"; DELETE FROM "ProjectUser"; DELETE FROM "Team";
               SELECT lockstep.touch('ProjectUserRefreshToken', id('engines'), jsonb_build_object('id', id('x'), 'refreshToken', 'secret-said'))"#,
        )
        .await?;
    assert_eq!(stage.number(SECRETS).await?, 0, "a line holds more than its key");
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let changed = "SELECT count(DISTINCT mapping) FROM lockstep.change";
    assert_eq!(stage.number(changed).await?, 12, "not every mapping had changes");
    assert_eq!(stage.number(SECRETS).await?, 0, "a change holds more than its key");
    stage.end(programs).await
}
