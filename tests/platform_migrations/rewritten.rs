//! Rows whose values change without a row trigger, and migrations that change nothing that is exported.

use anyhow::{Result, ensure};

use super::{in_step, without_event_triggers};

/// Migrations after which definitions fit and writes go on; none of them fires a row trigger.
const QUIET: [&str; 6] = [
    r#"ALTER TABLE "ProjectUser" ADD COLUMN "favouriteColour" text NOT NULL DEFAULT 'red'"#,
    r#"ALTER TABLE "ProjectUser" DROP COLUMN "lastActiveAt""#,
    r#"ALTER TYPE "ContactChannelType" ADD VALUE 'PHONE'"#,
    r#"ALTER TYPE "VerificationCodeType" RENAME VALUE 'MFA_ATTEMPT' TO 'SECOND_FACTOR'"#,
    r#"VACUUM FULL "ProjectUser""#,
    r#"CLUSTER "Team" USING "Team_pkey""#,
];

#[tokio::test]
async fn what_changes_nothing_that_is_exported_leaves_all_in_step() -> Result<()> {
    let (stage, programs) = in_step().await?;
    for migration in QUIET {
        stage.client.batch_execute(migration).await?;
        stage
            .sql(
                r#"UPDATE "ProjectUser" SET "displayName" = "displayName" || '.'; UPDATE "Team" SET "displayName" = "displayName" || '.';
                UPDATE "ContactChannel" SET "isVerified" = NOT "isVerified"; UPDATE "VerificationCode" SET "attemptCount" = 1"#,
            )
            .await?;
    }
    stage.equal().await?;
    let stopped = stage.number("SELECT count(*) FROM lockstep.pause").await?;
    assert_eq!(stopped, 0);
    ensure!(stage.installation.run("lockstep", &["migrate"]).await?.code == Some(0), "migrate refused");
    stage.equal().await?;
    stage.end(programs).await
}

/// A label that no definition names, but that is exported: all rows that have it say something else.
async fn renamed_label(noticed_at_once: bool) -> Result<()> {
    let (stage, programs) = in_step().await?;
    if !noticed_at_once {
        without_event_triggers(&stage).await?;
    }
    stage.sql(r#"ALTER TYPE "EmailOutboxCreatedWith" RENAME VALUE 'DRAFT' TO 'SKETCH'"#).await?;
    let seen = "SELECT arraySort(groupUniqArray(created_with)) FROM {views}.email_outboxes";
    stage.until_seen("the new label", seen, "['sketch']").await?;
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn a_label_that_is_renamed_is_exported_again_by_itself() -> Result<()> {
    renamed_label(true).await
}

#[tokio::test]
async fn a_label_that_is_renamed_is_noticed_within_a_minute_without_event_triggers() -> Result<()> {
    renamed_label(false).await
}

/// A BEFORE trigger that comes later may change columns which the statement does not name: capture is installed anew, and what
/// it did not see is exported again, by the sequencer itself.
#[tokio::test]
async fn a_before_trigger_that_comes_later_is_noticed() -> Result<()> {
    let (stage, programs) = in_step().await?;
    stage
        .sql(
            r#"CREATE FUNCTION zzz() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."clientMetadata" := '{"n": 1}'; RETURN NEW; END $$;
            CREATE TRIGGER zzz BEFORE UPDATE ON "ProjectUser" FOR EACH ROW EXECUTE FUNCTION zzz();
            UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" = id('ada')"#,
        )
        .await?;
    let written = r#"SELECT count() FROM {views}.users WHERE client_metadata = '{"n": 1}'"#;
    stage.until_seen("what the trigger wrote", written, "1").await?;
    stage.equal().await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" = id('grace')"#).await?;
    stage.equal().await?;
    stage.end(programs).await
}
