//! CAP-1: no write to a synced table goes unnoticed, whoever makes it and however.

use anyhow::{Context, Result};
use futures_util::SinkExt;

use crate::noticed::{all_stamped, noticed, noticed_of};

/// How it is written, the statements, and what must be noticed of it.
const WAYS: [(&str, &str, &str); 17] = [
    (
        "an insert",
        r#"INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
           SELECT id('engines'), gen_random_uuid(), id('ada'), 'secret-' || n, now() FROM generate_series(1, 5) n"#,
        "ProjectUserRefreshToken 5",
    ),
    (
        "an update",
        r#"UPDATE "ProjectUser" SET "displayName" = 'Augusta' WHERE "projectUserId" = id('ada')"#,
        "ProjectUser 1",
    ),
    ("an update of every row", r#"UPDATE "Team" SET "profileImageUrl" = 'https://example.com/x'"#, "Team 3"),
    ("a delete", r#"DELETE FROM "SessionReplay" WHERE "id" = id('replay of ada')"#, "gone SessionReplay 1"),
    (
        "an upsert",
        r#"INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
           VALUES (id('engines'), gen_random_uuid(), id('ada'), id('news'), FALSE), (id('engines'), gen_random_uuid(), id('mary'), id('news'), FALSE)
           ON CONFLICT ("tenancyId", "projectUserId", "notificationCategoryId") DO UPDATE SET "enabled" = EXCLUDED."enabled""#,
        "UserNotificationPreference 2",
    ),
    (
        "an insert that meets its row",
        r#"INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
           VALUES (id('engines'), gen_random_uuid(), id('ada'), id('news'), FALSE) ON CONFLICT DO NOTHING"#,
        "",
    ),
    (
        "a statement that deletes and inserts",
        r#"WITH gone AS (DELETE FROM "ProjectUserDirectPermission" WHERE "projectUserId" = id('ada') RETURNING *)
           INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
           SELECT gen_random_uuid(), "tenancyId", "projectUserId", 'review', now() FROM gone"#,
        "ProjectUserDirectPermission 1, gone ProjectUserDirectPermission 1",
    ),
    (
        "a cascade from a user",
        r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada')"#,
        "gone ContactChannel 2, gone ProjectUser 1, gone ProjectUserDirectPermission 1, gone ProjectUserOAuthAccount 1, \
         gone SessionReplay 1, gone TeamMember 1, gone TeamMemberDirectPermission 1, gone UserNotificationPreference 1, \
         touch users.channel 1",
    ),
    (
        "a cascade from a team",
        r#"DELETE FROM "Team" WHERE "teamId" = id('analytical')"#,
        "gone Team 1, gone TeamMember 2, gone TeamMemberDirectPermission 1, touch team_invitations.team 1",
    ),
    ("a truncated table", r#"TRUNCATE "ProjectUserRefreshToken""#, "gone ProjectUserRefreshToken 3"),
    (
        "a truncated table and what depends on it",
        r#"TRUNCATE "Team" CASCADE"#,
        "gone Team 3, gone TeamMember 4, gone TeamMemberDirectPermission 3, touch team_invitations.team 3",
    ),
    (
        "a replication role that runs no ordinary triggers",
        r#"SET LOCAL session_replication_role = replica;
           UPDATE "Team" SET "displayName" = 'Difference no. 2' WHERE "teamId" = id('difference');
           DELETE FROM "EmailOutbox" WHERE "id" = id('postcard');
           INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "configOAuthProviderId", "providerAccountId", "updatedAt")
           VALUES (id('engines'), gen_random_uuid(), 'github', 'x', now())"#,
        "ProjectUserOAuthAccount 1, Team 1, gone EmailOutbox 1, touch team_invitations.team 1",
    ),
    (
        "a role without rights in Lockstep's schema",
        r#"CREATE ROLE lockstep_test_application; GRANT SELECT, UPDATE, DELETE ON "TeamMember", "ContactChannel" TO lockstep_test_application;
           GRANT DELETE ON "TeamMemberDirectPermission" TO lockstep_test_application; SET LOCAL ROLE lockstep_test_application;
           UPDATE "ContactChannel" SET "isVerified" = FALSE WHERE "id" = id('charles');
           DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace')"#,
        "ContactChannel 1, gone TeamMember 1, gone TeamMemberDirectPermission 1, touch users.channel 1",
    ),
    (
        "the platform's own trigger, which changes the row",
        r#"CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."displayName" := upper(NEW."displayName"); RETURN NEW; END $$;
           CREATE TRIGGER shout BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION shout();
           UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" IN (id('ada'), id('grace'))"#,
        "ProjectUser 2",
    ),
    (
        "a column that a generated one is generated from",
        r#"UPDATE "EmailOutbox" SET "skippedReason" = 'USER_UNSUBSCRIBED', "skippedDetails" = '{}' WHERE "id" = id('letter')"#,
        "EmailOutbox 1",
    ),
    (
        "what is rolled back to a savepoint",
        r#"SAVEPOINT s; DELETE FROM "ProjectUser"; UPDATE "EmailOutbox" SET "isPaused" = TRUE; ROLLBACK TO s;
           UPDATE "EmailOutbox" SET "isPaused" = TRUE WHERE "id" = id('letter')"#,
        "EmailOutbox 1",
    ),
    (
        "a tenancy that goes",
        r#"DELETE FROM "Tenancy" WHERE "id" = id('compilers')"#,
        "gone EmailOutbox 1, gone SessionReplay 1, gone VerificationCode 1, touch tenancy 1",
    ),
];

#[tokio::test]
async fn cap_1_every_way_of_writing_is_noticed() -> Result<()> {
    let stage = all_stamped().await?;
    for (way, statements, expected) in WAYS {
        assert_eq!(noticed_of(&stage, statements).await?, expected, "{way}");
    }
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_copy_and_merge_are_noticed() -> Result<()> {
    let stage = all_stamped().await?;
    let copy = r#"COPY "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt") FROM STDIN"#;
    let mut rows = std::pin::pin!(stage.client.copy_in::<_, &[u8]>(copy).await.context("copying")?);
    rows.send(b"7f6f8873-3d04-46bd-8bef-18338b1a1b4c\t7f6f8873-3d04-46bd-8bef-18338b1a1b4d\t7f6f8873-3d04-46bd-8bef-18338b1a1b4e\tsecret-x\t2025-01-01\n".as_slice()).await?;
    rows.finish().await?;
    assert_eq!(noticed(&stage.client).await?, "ProjectUserRefreshToken 1");
    if stage.number("SELECT current_setting('server_version_num')::bigint").await? >= 150_000 {
        let merge = r#"DELETE FROM "ProjectUserRefreshToken" WHERE "refreshToken" = 'secret-x';
            TRUNCATE "DeletedRow";
            MERGE INTO "ProjectUserDirectPermission" AS p USING "ProjectUser" AS u ON p."projectUserId" = u."projectUserId"
            WHEN MATCHED AND u."projectUserId" = id('ada') THEN UPDATE SET "permissionId" = 'review'
            WHEN MATCHED AND u."projectUserId" = id('grace') THEN DELETE
            WHEN NOT MATCHED THEN INSERT ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
                VALUES (gen_random_uuid(), u."tenancyId", u."projectUserId", 'read', now())"#;
        let expected = "ProjectUserDirectPermission 2, gone ProjectUserDirectPermission 2";
        assert_eq!(noticed_of(&stage, merge).await?, expected);
    }
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_what_no_mapping_reads_leaves_a_stamped_row_alone() -> Result<()> {
    let stage = all_stamped().await?;
    for statement in [
        r#"UPDATE "ProjectUser" SET "lastActiveAt" = now(), "updatedAt" = now()"#,
        r#"UPDATE "ProjectUser" SET "displayName" = "displayName", "serverMetadata" = "serverMetadata""#,
        r#"UPDATE "ProjectUserRefreshToken" SET "refreshToken" = 'secret-rotated-' || "id"::text"#,
        r#"UPDATE "VerificationCode" SET "attemptCount" = 3, "usedAt" = now(), "code" = 'secret-new-' || "id"::text"#,
        r#"UPDATE "ProjectUserOAuthAccount" SET "email" = 'secret-mail'"#,
        r#"UPDATE "EmailOutbox" SET "tsxSource" = 'secret-other', "to" = '{"user": 1}'"#,
        r#"UPDATE "TeamMember" SET "isSelected" = NULL, "updatedAt" = now()"#,
        r#"UPDATE "Project" SET "displayName" = 'x'; UPDATE "Tenancy" SET "updatedAt" = now()"#,
        // The sequencer's own: otherwise it would never come to rest.
        r#"SET LOCAL lockstep.stamping = 'on';
           UPDATE "ProjectUser" SET "sequenceId" = nextval('global_seq_id'), "shouldUpdateSequenceId" = FALSE"#,
    ] {
        assert_eq!(noticed_of(&stage, statement).await?, "", "{statement}");
    }
    // A row of the base may move to where its snapshot will not look for it.
    let base = r#"SET LOCAL lockstep.stamping = 'on'; UPDATE "ProjectUser" SET "sequenceId" = NULL;
        SET LOCAL lockstep.stamping = 'off'; UPDATE "ProjectUser" SET "lastActiveAt" = now()"#;
    assert_eq!(noticed_of(&stage, base).await?, "ProjectUser 4");
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_nobody_else_gives_numbers_or_takes_flags_away() -> Result<()> {
    let stage = all_stamped().await?;
    stage
        .sql(
            r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt", "sequenceId", "shouldUpdateSequenceId")
               VALUES (id('engines'), id('new'), 'engines', 'main', 'new', now(), 9000000000, FALSE);
               UPDATE "ProjectUser" SET "sequenceId" = 9000000001 WHERE "projectUserId" = id('ada');
               UPDATE "ContactChannel" SET "isVerified" = FALSE WHERE "id" = id('ada')"#,
        )
        .await?;
    stage.sql(r#"UPDATE "ContactChannel" SET "shouldUpdateSequenceId" = FALSE"#).await?;
    stage
        .sql(
            r#"INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "deletedAt", "sequenceId", "shouldUpdateSequenceId")
               VALUES (gen_random_uuid(), id('engines'), 'Team', '{}', now(), 9000000002, FALSE)"#,
        )
        .await?;
    let expected =
        "ContactChannel 1, ProjectUser 1, Team 1, gone Team 1, touch team_invitations.team 1, touch users.channel 1";
    assert_eq!(noticed(&stage.client).await?, expected);
    for table in ["Team", "ProjectUser", "DeletedRow"] {
        let kept = format!(r#"SELECT count(*) FROM "{table}" WHERE "sequenceId" >= 9000000000"#);
        assert_eq!(stage.number(&kept).await?, 0, "{table} has a number that Lockstep did not give");
    }
    // That somebody else stamps is written down, for `lockstep status`.
    let noted = "SELECT count(*) FROM lockstep.foreign_stamp WHERE table_name = 'ProjectUser'";
    assert_eq!(stage.number(noted).await?, 1);
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_truncate_in_an_old_snapshot_is_refused() -> Result<()> {
    let stage = all_stamped().await?;
    stage.sql("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    stage.number(r#"SELECT count(*) FROM "Team""#).await?;
    let refused = stage.client.batch_execute(r#"TRUNCATE "Team" CASCADE"#).await;
    stage.sql("ROLLBACK").await?;
    let refused = refused.err().and_then(|error| Some(error.as_db_error()?.message().to_owned())).unwrap_or_default();
    assert!(refused.starts_with("LS-0020"), "{refused}");
    assert_eq!(noticed(&stage.client).await?, "");
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_callers_can_say_it_explicitly() -> Result<()> {
    let stage = all_stamped().await?;
    for (call, expected) in [
        ("SELECT lockstep.touch('Team', id('engines'))", "Team 2"),
        (
            r#"SELECT lockstep.touch('TeamMember', id('engines'), jsonb_build_object('projectUserId', id('ada')))"#,
            "TeamMember 1",
        ),
        ("SELECT lockstep.touch('VerificationCode', id('compilers'))", "VerificationCode 1"),
        (
            "SELECT lockstep.record_deletion('Team', id('engines'), jsonb_build_object('teamId', id('gone')))",
            "gone Team 1",
        ),
    ] {
        assert_eq!(noticed_of(&stage, call).await?, expected, "{call}");
    }
    for (call, code) in [
        ("SELECT lockstep.touch('NoTable', id('engines'))", "LS-0021"),
        (
            "SELECT lockstep.record_deletion('TeamMember', id('engines'), jsonb_build_object('teamId', id('gone')))",
            "LS-0022",
        ),
    ] {
        let refused = stage.client.batch_execute(call).await.err();
        let message = refused.as_ref().and_then(|error| Some(error.as_db_error()?.message())).unwrap_or_default();
        assert!(message.starts_with(code), "{call}: {message}");
    }
    stage.end([]).await
}
