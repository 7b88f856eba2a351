//! Triggers that were dropped, disabled or altered: the sequencer says so within a minute, `lockstep migrate` makes it good.

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;

use super::{in_step, without_event_triggers};
use crate::stage::DEADLINE;

/// What is done to capture, the table whose changes may be missed, and a change that is.
const DAMAGES: [(&str, &str, &str); 5] = [
    (
        r#"ALTER TABLE "ProjectUser" DROP COLUMN "profileImageUrl" CASCADE; ALTER TABLE "ProjectUser" ADD COLUMN "profileImageUrl" text"#,
        "ProjectUser",
        r#"UPDATE "ProjectUser" SET "displayName" = 'missed'"#,
    ),
    ("DROP FUNCTION lockstep.capture_teams() CASCADE", "Team", r#"UPDATE "Team" SET "displayName" = 'missed'"#),
    (
        r#"ALTER TABLE "TeamMember" DISABLE TRIGGER USER"#,
        "TeamMember",
        r#"DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace')"#,
    ),
    (
        r#"ALTER TABLE "SessionReplay" ENABLE REPLICA TRIGGER lockstep_session_replays_inserted"#,
        "SessionReplay",
        r#"INSERT INTO "SessionReplay" ("tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt")
           VALUES (id('engines'), id('missed'), id('mary'), id('token'), now(), now(), now())"#,
    ),
    (
        r#"CREATE OR REPLACE TRIGGER lockstep_refresh_tokens_deleted AFTER DELETE ON "ProjectUserRefreshToken" FOR EACH ROW
           WHEN (FALSE) EXECUTE FUNCTION lockstep.capture_refresh_tokens()"#,
        "ProjectUserRefreshToken",
        r#"DELETE FROM "ProjectUserRefreshToken" WHERE "projectUserId" = id('grace')"#,
    ),
];

/// Waits until the sequencer has said that changes of a table may be missed.
pub(super) async fn said(sequencer: &Program, table: &str) -> Result<()> {
    eventually(&format!("the sequencer to say what may be missed of {table}"), DEADLINE, async || {
        let logged = sequencer.logged()?;
        let quoted = [format!("\"{table}\""), format!("={table} ")];
        Ok(logged.lines().any(|line| line.contains("LS-0509") && quoted.iter().any(|table| line.contains(table))))
    })
    .await
}

async fn damaged(noticed_at_once: bool) -> Result<()> {
    let (stage, programs) = in_step().await?;
    if !noticed_at_once {
        without_event_triggers(&stage).await?;
    }
    for (damage, _, missed) in DAMAGES {
        stage.sql(damage).await?;
        stage.sql(missed).await?;
    }
    for (_, table, _) in DAMAGES {
        said(&programs[0], table).await?;
    }
    let again = stage.migrate(&[]).await?;
    ensure!(again.stderr.contains("begin to fill") || again.stdout.contains("begin to fill"), "{again:?}");
    stage.equal().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'noticed'; UPDATE "Team" SET "displayName" = 'noticed'; DELETE FROM "TeamMember";
            DELETE FROM "SessionReplay"; DELETE FROM "ProjectUserRefreshToken""#,
        )
        .await?;
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn capture_that_was_damaged_is_said_at_once_and_made_good() -> Result<()> {
    damaged(true).await
}

#[tokio::test]
async fn capture_that_was_damaged_is_said_within_a_minute_without_event_triggers() -> Result<()> {
    damaged(false).await
}
