//! Where Postgres must refuse, since a trigger's condition names the column: `lockstep migrate --relax` before it.

use anyhow::{Context, Result, ensure};

use super::{in_step, others_go_on, stopped, without_event_triggers};
use crate::stage::Stage;

/// A migration that Postgres refuses while a trigger's condition names the column.
struct Refused {
    what: &'static str,
    table: &'static str,
    up: &'static str,
    /// The application's writes right after it.
    writes: &'static str,
}

/// After these the definitions still fit.
const FITTING: [Refused; 4] = [
    Refused {
        what: "a column's type",
        table: "ProjectUser",
        up: r#"ALTER TABLE "ProjectUser" ALTER COLUMN "displayName" TYPE varchar(300) USING upper("displayName")"#,
        writes: r#"UPDATE "ProjectUser" SET "displayName" = 'countess' WHERE "projectUserId" = id('ada');
            INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
            VALUES (id('engines'), id('emmy'), 'engines', 'main', 'emmy', now()), (id('engines'), id('mary'), 'engines', 'main', 'x', now())
            ON CONFLICT ("tenancyId", "projectUserId") DO UPDATE SET "displayName" = EXCLUDED."displayName";
            DELETE FROM "ProjectUser" WHERE "projectUserId" = id('grace')"#,
    },
    Refused {
        what: "an enum that loses a label",
        table: "VerificationCode",
        up: r#"DELETE FROM "VerificationCode" WHERE "type" = 'PURCHASE_URL';
            ALTER TYPE "VerificationCodeType" RENAME TO "VerificationCodeType_old";
            CREATE TYPE "VerificationCodeType" AS ENUM ('ONE_TIME_PASSWORD', 'PASSWORD_RESET', 'CONTACT_CHANNEL_VERIFICATION', 'TEAM_INVITATION', 'MFA_ATTEMPT',
                'PASSKEY_REGISTRATION_CHALLENGE', 'PASSKEY_AUTHENTICATION_CHALLENGE', 'INTEGRATION_PROJECT_TRANSFER');
            ALTER TABLE "VerificationCode" ALTER COLUMN "type" TYPE "VerificationCodeType" USING ("type"::text::"VerificationCodeType");
            DROP TYPE "VerificationCodeType_old""#,
        writes: r#"UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION' WHERE "id" = id('password');
            UPDATE "VerificationCode" SET "type" = 'MFA_ATTEMPT' WHERE "id" = id('invitation');
            DELETE FROM "VerificationCode" WHERE "id" = id('other invitation')"#,
    },
    Refused {
        what: "a generated column that is redefined",
        table: "EmailOutbox",
        up: r#"ALTER TABLE "EmailOutbox" DROP COLUMN "status";
            ALTER TABLE "EmailOutbox" ADD COLUMN "status" "EmailOutboxStatus" NOT NULL GENERATED ALWAYS AS
                (CASE WHEN "isPaused" THEN 'PAUSED'::"EmailOutboxStatus" ELSE 'QUEUED'::"EmailOutboxStatus" END) STORED"#,
        writes: r#"UPDATE "EmailOutbox" SET "isPaused" = TRUE WHERE "id" = id('letter');
            DELETE FROM "EmailOutbox" WHERE "id" = id('postcard')"#,
    },
    Refused {
        what: "a column that becomes citext",
        table: "ContactChannel",
        up: r#"ALTER TABLE "ContactChannel" ALTER COLUMN "value" TYPE citext"#,
        writes: r#"UPDATE "ContactChannel" SET "value" = 'ADA@example.com' WHERE "id" = id('ada')"#,
    },
];

async fn migrated(stage: &Stage, refused: &Refused) -> Result<()> {
    let Refused { what, table, up, writes } = refused;
    let said = stage.client.batch_execute(up).await.err().with_context(|| format!("{what} was not refused"))?;
    let code = said.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    ensure!(matches!(code, "0A000" | "2BP01"), "{what}: {said:?}");
    stage.migrate(&["--relax", table]).await.context(*what)?;
    stage.sql(up).await.with_context(|| format!("{what}, relaxed"))?;
    stage.sql(writes).await.with_context(|| format!("the application's writes after {what}"))
}

async fn fitting(noticed_at_once: bool) -> Result<()> {
    let (stage, programs) = in_step().await?;
    stage.sql("CREATE EXTENSION citext").await?;
    if !noticed_at_once {
        without_event_triggers(&stage).await?;
    }
    let relaxed = "SELECT count(*) FROM lockstep.captured_table WHERE relaxed";
    for refused in &FITTING {
        migrated(&stage, refused).await?;
        // Relaxed is named, until it is tightened.
        assert_eq!(stage.number(relaxed).await?, 1);
        let found = stage.installation.run("lockstep", &["doctor"]).await?.stdout;
        ensure!(found.contains("relaxed capture"), "{found}");
        stage.migrate(&[]).await?;
        assert_eq!(stage.number(relaxed).await?, 0);
    }
    stage.sql(r#"UPDATE "ContactChannel" SET "value" = 'Charles@example.com' WHERE "id" = id('charles')"#).await?;
    stage.in_step().await?;
    let users = "SELECT arraySort(groupArray(concat(display_name, ' ', ifNull(primary_email, '')))) FROM {views}.users";
    assert_eq!(stage.seen(users).await?, "['CHARLES Charles@example.com','countess ADA@example.com','emmy ','x ']");
    let letters = "SELECT arraySort(groupArray(concat(status, ' ', simple_status))) FROM {views}.email_outboxes";
    assert_eq!(stage.seen(letters).await?, "['paused in-progress','queued in-progress']");
    let addresses =
        "SELECT count() FROM {views}.contact_channels WHERE value IN ('ADA@example.com', 'Charles@example.com')";
    assert_eq!(stage.seen(addresses).await?, "2");
    stage.equal().await?;
    ensure!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"), "something is left to do");
    stage.end(programs).await
}

#[tokio::test]
async fn a_migration_that_is_refused_passes_once_capture_is_relaxed_and_misses_nothing() -> Result<()> {
    fitting(true).await
}

#[tokio::test]
async fn a_migration_that_is_refused_passes_relaxed_without_event_triggers_too() -> Result<()> {
    fitting(false).await
}

/// Afterwards the definition no longer fits: it is stopped alone, until the column is back.
#[tokio::test]
async fn a_column_that_is_dropped_stops_its_mapping_alone() -> Result<()> {
    let (stage, programs) = in_step().await?;
    let dropped = Refused {
        what: "a column that is dropped",
        table: "TeamMember",
        up: r#"ALTER TABLE "TeamMember" DROP COLUMN "profileImageUrl""#,
        writes: r#"UPDATE "TeamMember" SET "displayName" = 'countess' WHERE "projectUserId" = id('ada');
            DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace')"#,
    };
    migrated(&stage, &dropped).await?;
    let reason = stopped(&stage, "team_member_profiles").await?;
    ensure!(reason.starts_with("LS-0508") && reason.contains(r#""TeamMember"."profileImageUrl""#), "{reason}");
    others_go_on(&stage, "without a picture").await?;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    ensure!(refused.stderr.contains("LS-0015") && refused.stderr.contains("profileImageUrl"), "{}", refused.stderr);
    stage
        .sql(r#"ALTER TABLE "TeamMember" ADD COLUMN "profileImageUrl" text DEFAULT 'https://example.com/new'"#)
        .await?;
    stage.until("it to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.migrate(&[]).await?;
    stage.equal().await?;
    stage.end(programs).await
}

/// While it is relaxed every update is written down, whatever it changed, and nothing is missed.
#[tokio::test]
async fn relaxed_everywhere_every_way_of_writing_arrives() -> Result<()> {
    let (stage, programs) = in_step().await?;
    stage.migrate(&["--relax"]).await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "clientMetadata" = '{"n": 1.50}' WHERE "projectUserId" = id('ada');
            UPDATE "Team" SET "displayName" = "displayName" || '!';
            DELETE FROM "ProjectUser" WHERE "projectUserId" = id('charles'); TRUNCATE "ProjectUserRefreshToken";
            UPDATE "ContactChannel" SET "value" = 'g@example.com' WHERE "projectUserId" = id('grace');
            UPDATE "Tenancy" SET "branchId" = 'dev' WHERE "id" = id('compilers')"#,
        )
        .await?;
    stage.equal().await?;
    stage.migrate(&[]).await?;
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'tight'; TRUNCATE "SessionReplay""#).await?;
    stage.equal().await?;
    stage.end(programs).await
}
