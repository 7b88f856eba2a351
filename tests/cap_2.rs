//! CAP-2: a row that leaves its mapping, or changes its key, leaves a tombstone for the old key, and no secret in it.

use anyhow::Result;

use crate::noticed::{all_stamped, noticed_of};
use crate::stage::Stage;

/// How a key goes, the statements, and what must be noticed of it.
const WAYS: [(&str, &str, &str); 9] = [
    (
        "an account is unlinked",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = NULL WHERE "id" = id('account countess')"#,
        "ProjectUserOAuthAccount 1, gone ProjectUserOAuthAccount 1",
    ),
    (
        "an account is linked",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account nobody')"#,
        "ProjectUserOAuthAccount 1",
    ),
    (
        "an account moves to another user",
        r#"UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account countess')"#,
        "ProjectUserOAuthAccount 1, gone ProjectUserOAuthAccount 1",
    ),
    (
        "a code is no invitation any more",
        r#"UPDATE "VerificationCode" SET "type" = 'PASSWORD_RESET' WHERE "id" = id('invitation')"#,
        "VerificationCode 1, gone VerificationCode 1",
    ),
    (
        "a code becomes an invitation",
        r#"UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION' WHERE "id" = id('password')"#,
        "VerificationCode 1",
    ),
    // No mapping had it: nothing vanishes.
    ("another code goes", r#"DELETE FROM "VerificationCode" WHERE "id" = id('password')"#, ""),
    (
        "an invitation goes to another project",
        r#"UPDATE "VerificationCode" SET "projectId" = 'compilers' WHERE "id" = id('invitation')"#,
        "VerificationCode 1, gone VerificationCode 1",
    ),
    (
        "a user's id changes",
        r#"UPDATE "ProjectUser" SET "projectUserId" = id('augusta') WHERE "projectUserId" = id('ada')"#,
        "ContactChannel 2, ProjectUser 1, ProjectUserDirectPermission 1, ProjectUserOAuthAccount 1, SessionReplay 1, \
         TeamMember 1, TeamMemberDirectPermission 1, UserNotificationPreference 1, gone ContactChannel 2, gone ProjectUser 1, \
         gone ProjectUserDirectPermission 1, gone ProjectUserOAuthAccount 1, gone TeamMember 1, \
         gone TeamMemberDirectPermission 1, gone UserNotificationPreference 1, touch users.channel 2",
    ),
    (
        "a team's id changes",
        r#"UPDATE "Team" SET "teamId" = id('difference no. 2') WHERE "teamId" = id('difference')"#,
        "Team 1, TeamMember 1, TeamMemberDirectPermission 1, gone Team 1, gone TeamMember 1, \
         gone TeamMemberDirectPermission 1, touch team_invitations.team 2",
    ),
];

#[tokio::test]
async fn cap_2_every_key_that_goes_leaves_a_tombstone() -> Result<()> {
    let stage = all_stamped().await?;
    for (way, statements, expected) in WAYS {
        assert_eq!(noticed_of(&stage, statements).await?, expected, "{way}");
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

#[tokio::test]
async fn cap_2_tombstones_hold_keys_and_no_secrets() -> Result<()> {
    let stage = all_stamped().await?;
    for (_, statement, _) in WAYS {
        stage.sql(statement).await?;
    }
    stage
        .sql(
            r#"DELETE FROM "ProjectUserRefreshToken" WHERE "projectUserId" = id('grace'); TRUNCATE "ProjectUserRefreshToken", "VerificationCode";
               DELETE FROM "EmailOutbox"; DELETE FROM "ProjectUser"; DELETE FROM "Team";
               SELECT lockstep.record_deletion('ProjectUserRefreshToken', id('engines'), jsonb_build_object('id', id('x'), 'refreshToken', 'secret-said'))"#,
        )
        .await?;
    let tombstones = stage.client.query(
        r#"SELECT DISTINCT "tableName", array_to_string(ARRAY(SELECT jsonb_object_keys("primaryKey") ORDER BY 1), ' ') FROM "DeletedRow" ORDER BY 1"#,
        &[],
    );
    let keys: Vec<(String, String)> = tombstones.await?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [
        ("ContactChannel", "id projectUserId tenancyId"),
        ("EmailOutbox", "id tenancyId"),
        ("ProjectUser", "projectUserId tenancyId"),
        ("ProjectUserDirectPermission", "permissionId projectUserId tenancyId"),
        ("ProjectUserOAuthAccount", "configOAuthProviderId projectUserId providerAccountId tenancyId"),
        ("ProjectUserRefreshToken", "id tenancyId"),
        ("SessionReplay", "id tenancyId"),
        ("Team", "teamId tenancyId"),
        ("TeamMember", "projectUserId teamId tenancyId"),
        ("TeamMemberDirectPermission", "permissionId projectUserId teamId tenancyId"),
        ("UserNotificationPreference", "notificationCategoryId projectUserId tenancyId"),
        ("VerificationCode", "id tenancyId"),
    ];
    assert_eq!(keys, expected.map(|(table, columns)| (table.to_owned(), columns.to_owned())));
    let told = r#"SELECT count(*) FROM "DeletedRow" d WHERE d::text LIKE '%secret-%' OR d."data" IS NOT NULL"#;
    assert_eq!(stage.number(told).await?, 0, "a tombstone holds more than its key");
    stage.end([]).await
}
