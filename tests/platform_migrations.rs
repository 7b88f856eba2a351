//! The platform's own migrations while Lockstep is attached: no write of the application's fails because of it, and a
//! destination is equal afterwards, or its mapping is stopped alone and says so (APP-1, CAP-1).

mod missed;
mod relaxed;
mod rewritten;

use anyhow::{Context, Result, bail, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;

use crate::stage::{DEADLINE, Stage};

/// A migration that Postgres lets pass although capture reads what it changes.
struct Renaming {
    what: &'static str,
    up: &'static str,
    /// The application's writes in the new form: in the transaction of the migration, so that nobody has noticed it yet.
    writes: &'static str,
    down: &'static str,
    /// The mappings that no longer fit.
    stops: &'static [&'static str],
    /// What the error names.
    names: &'static str,
}

const RENAMINGS: [Renaming; 7] = [
    Renaming {
        what: "a column that is read",
        up: r#"ALTER TABLE "TeamMember" RENAME COLUMN "displayName" TO "nickname""#,
        writes: r#"UPDATE "TeamMember" SET "nickname" = 'countess' WHERE "projectUserId" = id('ada');
            INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "nickname", "updatedAt")
            VALUES (id('engines'), id('mary'), id('difference'), 'mary', now()), (id('engines'), id('ada'), id('analytical'), 'x', now())
            ON CONFLICT ("tenancyId", "projectUserId", "teamId") DO UPDATE SET "nickname" = EXCLUDED."nickname";
            DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace')"#,
        down: r#"ALTER TABLE "TeamMember" RENAME COLUMN "nickname" TO "displayName""#,
        stops: &["team_member_profiles"],
        names: r#""TeamMember"."displayName""#,
    },
    Renaming {
        what: "a column of the key",
        up: r#"ALTER TABLE "SessionReplay" RENAME COLUMN "id" TO "replayId""#,
        writes: r#"UPDATE "SessionReplay" SET "lastEventAt" = now() WHERE "projectUserId" = id('ada');
            INSERT INTO "SessionReplay" ("tenancyId", "replayId", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt")
            VALUES (id('engines'), id('new replay'), id('mary'), id('token'), now(), now(), now());
            DELETE FROM "SessionReplay" WHERE "projectUserId" = id('grace')"#,
        down: r#"ALTER TABLE "SessionReplay" RENAME COLUMN "replayId" TO "id""#,
        stops: &["session_replays"],
        names: "\"id\"",
    },
    Renaming {
        what: "the tenant's column, before everything goes",
        up: r#"ALTER TABLE "UserNotificationPreference" RENAME COLUMN "tenancyId" TO "tenant""#,
        writes: r#"UPDATE "UserNotificationPreference" SET "enabled" = FALSE WHERE "projectUserId" = id('ada');
            DELETE FROM "UserNotificationPreference" WHERE "projectUserId" = id('grace'); TRUNCATE "UserNotificationPreference";
            INSERT INTO "UserNotificationPreference" ("tenant", "id", "projectUserId", "notificationCategoryId", "enabled")
            VALUES (id('engines'), id('only one'), id('ada'), id('news'), TRUE)"#,
        down: r#"ALTER TABLE "UserNotificationPreference" RENAME COLUMN "tenant" TO "tenancyId""#,
        stops: &["notification_preferences"],
        names: r#""UserNotificationPreference"."tenancyId""#,
    },
    Renaming {
        what: "a table",
        up: r#"ALTER TABLE "ProjectUserRefreshToken" RENAME TO "RefreshToken""#,
        writes: r#"UPDATE "RefreshToken" SET "expiresAt" = '2030-01-01' WHERE "projectUserId" = id('ada');
            DELETE FROM "RefreshToken" WHERE "projectUserId" = id('grace');
            INSERT INTO "RefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
            VALUES (id('engines'), id('new token'), id('mary'), 'secret-m', now())"#,
        down: r#"ALTER TABLE "RefreshToken" RENAME TO "ProjectUserRefreshToken""#,
        stops: &["refresh_tokens"],
        names: "ProjectUserRefreshToken",
    },
    Renaming {
        what: "an enum's label that a definition names",
        up: r#"ALTER TYPE "VerificationCodeType" RENAME VALUE 'TEAM_INVITATION' TO 'INVITATION'"#,
        writes: r#"UPDATE "VerificationCode" SET "method" = '{"email": "other@example.com"}' WHERE "id" = id('invitation');
            DELETE FROM "VerificationCode" WHERE "id" = id('other invitation');
            INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "data", "expiresAt", "updatedAt")
            VALUES ('engines', 'main', id('late'), 'INVITATION', 'late', '{}', '2030-01-01', now())"#,
        down: r#"ALTER TYPE "VerificationCodeType" RENAME VALUE 'INVITATION' TO 'TEAM_INVITATION'"#,
        stops: &["team_invitations"],
        names: "TEAM_INVITATION",
    },
    Renaming {
        what: "an enum's label that a definition names of a joined table",
        up: r#"ALTER TYPE "ContactChannelType" RENAME VALUE 'EMAIL' TO 'MAIL'"#,
        writes: r#"UPDATE "ContactChannel" SET "value" = 'ada@example.org' WHERE "id" = id('ada');
            INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
            VALUES (id('engines'), id('mary'), id('mary'), 'MAIL', 'TRUE', FALSE, 'mary@example.org', now())"#,
        down: r#"ALTER TYPE "ContactChannelType" RENAME VALUE 'MAIL' TO 'EMAIL'"#,
        stops: &["users"],
        names: "EMAIL",
    },
    Renaming {
        what: "a column of another table that is read by two",
        up: r#"ALTER TABLE "ProjectUserOAuthAccount" RENAME COLUMN "configOAuthProviderId" TO "provider""#,
        writes: r#"UPDATE "ProjectUserOAuthAccount" SET "provider" = 'gitlab' WHERE "projectUserId" = id('ada');
            DELETE FROM "ProjectUserOAuthAccount" WHERE "projectUserId" = id('grace')"#,
        down: r#"ALTER TABLE "ProjectUserOAuthAccount" RENAME COLUMN "provider" TO "configOAuthProviderId""#,
        stops: &["connected_accounts"],
        names: r#""ProjectUserOAuthAccount"."configOAuthProviderId""#,
    },
];

/// A small world that is in step, and the programs that keep it there.
async fn in_step() -> Result<(Stage, [Program; 2])> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    Ok((stage, programs))
}

/// As it is where the role may not create event triggers.
async fn without_event_triggers(stage: &Stage) -> Result<()> {
    stage.sql("DROP EVENT TRIGGER lockstep_ddl_end; DROP EVENT TRIGGER lockstep_ddl_drop").await
}

/// Changes of other mappings arrive meanwhile.
async fn others_go_on(stage: &Stage, told: &str) -> Result<()> {
    let change = format!(r#"UPDATE "Team" SET "profileImageUrl" = '{told}' WHERE "teamId" = id('cobol')"#);
    stage.sql(&change).await?;
    let seen = "SELECT profile_image_url FROM {views}.teams WHERE project_id = 'compilers'";
    stage.until_seen("a change of another mapping", seen, told).await
}

/// Waits until a mapping is stopped, and says why it was.
pub(crate) async fn stopped(stage: &Stage, mapping: &str) -> Result<String> {
    let stopped = format!("SELECT reason FROM lockstep.pause WHERE kind = 'mapping' AND name = '{mapping}'");
    let mut reason = String::new();
    eventually(&format!("{mapping} to be stopped"), DEADLINE, async || {
        let Some(row) = stage.client.query_opt(&stopped, &[]).await? else { bail!("it is not paused") };
        reason = row.try_get(0)?;
        Ok(true)
    })
    .await?;
    Ok(reason)
}

async fn renamings(noticed_at_once: bool) -> Result<()> {
    let (stage, programs) = in_step().await?;
    if !noticed_at_once {
        without_event_triggers(&stage).await?;
    }
    for Renaming { what, up, writes, down, .. } in &RENAMINGS {
        let lines = "(SELECT count(*) FROM lockstep.inbox i JOIN lockstep.target t ON t.id = i.target WHERE t.name = 'catalog!' AND i.xid = txid_current())";
        stage.sql("BEGIN").await?;
        stage.sql(up).await.context(*what)?;
        let noticed = stage.number(&format!("SELECT {lines}")).await?;
        ensure!((noticed > 0) == noticed_at_once, "{what}: its transaction wrote {noticed} lines");
        stage.sql("COMMIT").await?;
        stage.sql(writes).await.with_context(|| format!("the application's writes after {what}: {down}"))?;
    }
    for Renaming { what, stops, names, .. } in &RENAMINGS {
        for mapping in *stops {
            let reason = stopped(&stage, mapping).await?;
            ensure!(
                reason.starts_with("LS-0508") && reason.contains(names) && reason.contains("; "),
                "{what}: {reason}"
            );
        }
    }
    let stops: usize = RENAMINGS.iter().map(|renaming| renaming.stops.len()).sum();
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.pause").await?, i64::try_from(stops)?);
    others_go_on(&stage, "meanwhile").await?;
    for Renaming { what, down, .. } in &RENAMINGS {
        stage.sql(down).await.context(*what)?;
    }
    stage.until("every mapping to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.equal().await?;
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.quarantine").await?, 0, "a row was blamed for it");
    stage.end(programs).await
}

#[tokio::test]
async fn what_is_renamed_fails_no_write_and_stops_its_mapping_alone_at_once() -> Result<()> {
    renamings(true).await
}

#[tokio::test]
async fn what_is_renamed_is_noticed_within_a_minute_without_event_triggers() -> Result<()> {
    renamings(false).await
}

/// Every mapping reads it.
#[tokio::test]
async fn a_column_of_tenancies_that_is_renamed_fails_no_write_and_loses_nothing() -> Result<()> {
    let (stage, programs) = in_step().await?;
    stage
        .sql(
            r#"ALTER TABLE "Tenancy" RENAME COLUMN "branchId" TO "branch";
            INSERT INTO "Tenancy" ("id", "projectId", "branch", "hasNoOrganization", "updatedAt") VALUES (id('late'), 'engines', 'late', 'TRUE', now());
            UPDATE "Tenancy" SET "branch" = 'moved' WHERE "id" = id('compilers');
            UPDATE "Team" SET "displayName" = 'while nobody can be placed'"#,
        )
        .await?;
    let reason = stopped(&stage, "users").await?;
    ensure!(reason.contains(r#""Tenancy"."branchId""#), "{reason}");
    stage.sql(r#"ALTER TABLE "Tenancy" RENAME COLUMN "branch" TO "branchId""#).await?;
    stage.until("every mapping to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.equal().await?;
    stage.end(programs).await
}
