//! CAP-1: no write to a synced table goes unnoticed, whoever makes it and however.

use anyhow::{Context, Result};
use futures_util::SinkExt;

use crate::captured::{all_numbered, captured, captured_of};
use crate::stage::Stage;

/// How it is written, the statements, and what must be captured of it.
const WAYS: [(&str, &str, &str); 17] = [
    (
        "an insert",
        r#"INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
           SELECT id('engines'), gen_random_uuid(), id('ada'), 'secret-' || n, now() FROM generate_series(1, 5) n"#,
        "refresh_tokens 5",
    ),
    ("an update", r#"UPDATE "ProjectUser" SET "displayName" = 'Augusta' WHERE "projectUserId" = id('ada')"#, "users 1"),
    ("an update of every row", r#"UPDATE "Team" SET "profileImageUrl" = 'https://example.com/x'"#, "teams 3"),
    ("a delete", r#"DELETE FROM "SessionReplay" WHERE "id" = id('replay of ada')"#, "session_replays 1"),
    (
        "an upsert",
        r#"INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
           VALUES (id('engines'), gen_random_uuid(), id('ada'), id('news'), FALSE), (id('engines'), gen_random_uuid(), id('mary'), id('news'), FALSE)
           ON CONFLICT ("tenancyId", "projectUserId", "notificationCategoryId") DO UPDATE SET "enabled" = EXCLUDED."enabled""#,
        "notification_preferences 2",
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
        "project_permissions 2",
    ),
    (
        "a cascade from a user",
        r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada')"#,
        "connected_accounts 1, contact_channels 2, notification_preferences 1, project_permissions 1, session_replays 1, \
         team_member_profiles 1, team_permissions 1, users 1",
    ),
    (
        "a cascade from a team",
        r#"DELETE FROM "Team" WHERE "teamId" = id('analytical')"#,
        "team_invitations.team 1, team_member_profiles 2, team_permissions 1, teams 1",
    ),
    ("a truncated table", r#"TRUNCATE "ProjectUserRefreshToken""#, "refresh_tokens 3"),
    (
        "a truncated table and what depends on it",
        r#"TRUNCATE "Team" CASCADE"#,
        "team_invitations.team 3, team_member_profiles 4, team_permissions 3, teams 3",
    ),
    (
        "a replication role that runs no ordinary triggers",
        r#"SET LOCAL session_replication_role = replica;
           UPDATE "Team" SET "displayName" = 'Difference no. 2' WHERE "teamId" = id('difference');
           DELETE FROM "EmailOutbox" WHERE "id" = id('postcard');
           INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "updatedAt")
           VALUES (id('engines'), gen_random_uuid(), id('mary'), 'github', 'x', now())"#,
        "connected_accounts 1, email_outboxes 1, team_invitations.team 1, teams 1",
    ),
    (
        "a role without rights in Lockstep's schema",
        r#"CREATE ROLE lockstep_test_application; GRANT SELECT, UPDATE, DELETE ON "TeamMember", "ContactChannel" TO lockstep_test_application;
           GRANT DELETE ON "TeamMemberDirectPermission" TO lockstep_test_application; SET LOCAL ROLE lockstep_test_application;
           UPDATE "ContactChannel" SET "isVerified" = FALSE WHERE "id" = id('charles');
           DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace')"#,
        "contact_channels 1, team_member_profiles 1, team_permissions 1, users 1",
    ),
    (
        // No statement names what it changes: the sequencer is told to look, installs its own trigger anew, and fills again.
        "a new trigger of the platform's, which changes the row",
        r#"CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."displayName" := upper(NEW."displayName"); RETURN NEW; END $$;
           CREATE TRIGGER shout BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION shout();
           UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" IN (id('ada'), id('grace'))"#,
        "catalog! 1",
    ),
    (
        "a column that a generated one is generated from",
        r#"UPDATE "EmailOutbox" SET "skippedReason" = 'USER_UNSUBSCRIBED', "skippedDetails" = '{}' WHERE "id" = id('letter')"#,
        "email_outboxes 1",
    ),
    (
        "what is rolled back to a savepoint",
        r#"SAVEPOINT s; DELETE FROM "ProjectUser"; UPDATE "EmailOutbox" SET "isPaused" = TRUE; ROLLBACK TO s;
           UPDATE "EmailOutbox" SET "isPaused" = TRUE WHERE "id" = id('letter')"#,
        "email_outboxes 1",
    ),
    (
        "a tenancy that goes",
        r#"DELETE FROM "Tenancy" WHERE "id" = id('compilers')"#,
        "email_outboxes 1, session_replays 1, tenancy 1",
    ),
];

#[tokio::test]
async fn cap_1_every_way_of_writing_is_noticed() -> Result<()> {
    let stage = all_numbered().await?;
    for (way, statements, expected) in WAYS {
        assert_eq!(captured_of(&stage, statements).await?, expected, "{way}");
    }
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_copy_and_merge_are_noticed() -> Result<()> {
    let stage = all_numbered().await?;
    let copy = r#"COPY "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt") FROM STDIN"#;
    let mut rows = std::pin::pin!(stage.client.copy_in::<_, &[u8]>(copy).await.context("copying")?);
    rows.send(b"7f6f8873-3d04-46bd-8bef-18338b1a1b4c\t7f6f8873-3d04-46bd-8bef-18338b1a1b4d\t7f6f8873-3d04-46bd-8bef-18338b1a1b4e\tsecret-x\t2025-01-01\n".as_slice()).await?;
    rows.finish().await?;
    assert_eq!(captured(&stage.client).await?, "refresh_tokens 1");
    if stage.number("SELECT current_setting('server_version_num')::bigint").await? >= 150_000 {
        stage.sql("TRUNCATE lockstep.inbox_0, lockstep.inbox_1").await?;
        let merge = r#"MERGE INTO "ProjectUserDirectPermission" AS p USING "ProjectUser" AS u ON p."projectUserId" = u."projectUserId"
            WHEN MATCHED AND u."projectUserId" = id('ada') THEN UPDATE SET "permissionId" = 'review'
            WHEN MATCHED AND u."projectUserId" = id('grace') THEN DELETE
            WHEN NOT MATCHED THEN INSERT ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
                VALUES (gen_random_uuid(), u."tenancyId", u."projectUserId", 'read', now())"#;
        assert_eq!(captured_of(&stage, merge).await?, "project_permissions 4");
    }
    stage.end([]).await
}

#[tokio::test]
async fn cap_1_what_no_mapping_reads_is_no_change() -> Result<()> {
    let stage = all_numbered().await?;
    for statement in [
        r#"UPDATE "ProjectUser" SET "lastActiveAt" = now(), "updatedAt" = now()"#,
        r#"UPDATE "ProjectUser" SET "displayName" = "displayName", "serverMetadata" = "serverMetadata""#,
        r#"UPDATE "ProjectUserRefreshToken" SET "refreshToken" = 'secret-rotated-' || "id"::text"#,
        r#"UPDATE "VerificationCode" SET "attemptCount" = 3, "usedAt" = now(), "code" = 'secret-new-' || "id"::text"#,
        r#"UPDATE "ProjectUserOAuthAccount" SET "updatedAt" = '2025-01-01'"#,
        r#"UPDATE "EmailOutbox" SET "tsxSource" = 'secret-other', "to" = '{"user": 1}'"#,
        r#"UPDATE "TeamMember" SET "isSelected" = NULL, "updatedAt" = now()"#,
        r#"UPDATE "Project" SET "displayName" = 'x'; UPDATE "Tenancy" SET "updatedAt" = now()"#,
    ] {
        assert_eq!(captured_of(&stage, statement).await?, "", "{statement}");
    }
    stage.end([]).await
}

/// It removes rows that it does not see, so that their keys cannot be written down.
#[tokio::test]
async fn cap_1_truncate_in_an_old_snapshot_takes_what_it_does_not_see_along() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let old = stage.connect().await?;
    old.batch_execute(r#"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM "Team""#).await?;
    stage
        .sql(
            r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES (id('engines'), id('new'), 'engines', 'main', 'new', now())"#,
        )
        .await?;
    stage.equal().await?;
    old.batch_execute(r#"TRUNCATE "Team" CASCADE; COMMIT"#).await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.teams").await?, "0");
    stage.end(programs).await
}

#[tokio::test]
async fn cap_1_callers_can_say_it_explicitly() -> Result<()> {
    let stage = all_numbered().await?;
    for (call, expected) in [
        ("SELECT lockstep.touch('Team', id('engines'))", "teams.* 1"),
        ("SELECT lockstep.touch('VerificationCode', id('compilers'))", "team_invitations.* 1"),
        (
            "SELECT lockstep.touch('TeamMember', id('engines'), jsonb_build_object('projectUserId', id('ada'), 'teamId', id('gone')))",
            "team_member_profiles 1",
        ),
    ] {
        assert_eq!(captured_of(&stage, call).await?, expected, "{call}");
    }
    for (call, code) in [
        ("SELECT lockstep.touch('NoTable', id('engines'))", "LS-0021"),
        ("SELECT lockstep.touch('TeamMember', id('engines'), jsonb_build_object('teamId', id('gone')))", "LS-0022"),
    ] {
        let refused = stage.client.batch_execute(call).await.err();
        let message = refused.as_ref().and_then(|error| Some(error.as_db_error()?.message())).unwrap_or_default();
        assert!(message.starts_with(code), "{call}: {message}");
    }
    stage.end([]).await
}
