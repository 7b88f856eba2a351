//! DEL-1: a tombstone never beats a live row of the same key. Five tables, whose rows come again with their natural keys.

use anyhow::{Result, ensure};

use crate::stage::Stage;

/// What Ada is in.
pub(crate) const MAPPINGS: [&str; 5] = [
    "team_member_profiles",
    "team_permissions",
    "project_permissions",
    "notification_preferences",
    "connected_accounts",
];

pub(crate) async fn ada_can_leave() -> Result<Stage> {
    let stage = Stage::small().await?;
    stage.sql(include_str!("del_1.sql")).await?;
    Ok(stage)
}

/// Both sides are equal, and Ada is seen in the five views, or in none of them.
pub(crate) async fn ada_is(stage: &Stage, there: bool) -> Result<()> {
    stage.equal().await?;
    ada_is_seen(stage, there).await
}

/// Ada is seen in the five views, or in none of them.
pub(crate) async fn ada_is_seen(stage: &Stage, there: bool) -> Result<()> {
    let expected = if there { "1" } else { "0" };
    for view in MAPPINGS {
        let rows = format!("SELECT count() FROM {{views}}.{view} WHERE user_id = UUIDNumToString(MD5('ada'))");
        ensure!(stage.seen(&rows).await? == expected, "Ada is {} in {view}", if there { "missing" } else { "still" });
    }
    Ok(())
}

#[tokio::test]
async fn del_1_before_anything_was_numbered() -> Result<()> {
    let stage = ada_can_leave().await?;
    stage.sql("SELECT leave(); SELECT rejoin()").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    ada_is(&stage, true).await?;
    // Once more, over rows that are shipped.
    stage.sql("SELECT leave()").await?;
    stage.sql("SELECT rejoin()").await?;
    ada_is(&stage, true).await?;
    stage.end(programs).await
}

#[tokio::test]
async fn del_1_several_times_in_one_transaction_and_between_two_reads() -> Result<()> {
    let stage = ada_can_leave().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.sql("SELECT leave(); SELECT rejoin(); SELECT leave(); SELECT rejoin()").await?;
    ada_is(&stage, true).await?;
    stage.sql("SELECT leave(); SELECT rejoin(); SELECT leave()").await?;
    ada_is(&stage, false).await?;
    stage.sql("SELECT rejoin(); SELECT leave()").await?;
    ada_is(&stage, false).await?;
    for _ in 0..2 {
        stage.sql("SELECT rejoin()").await?;
        ada_is(&stage, true).await?;
        stage.sql("SELECT leave()").await?;
        ada_is(&stage, false).await?;
    }
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn del_1_between_numbering_and_reading() -> Result<()> {
    let stage = ada_can_leave().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    ada_is(&stage, true).await?;
    for (steps, there) in [(["leave", "rejoin", "leave"], false), (["rejoin", "leave", "rejoin"], true)] {
        worker.signal("STOP").await?;
        for step in steps {
            stage.sql(&format!("SELECT {step}()")).await?;
            stage.numbered().await?;
        }
        worker.signal("CONT").await?;
        ada_is(&stage, there).await?;
    }
    stage.end([sequencer, worker]).await
}

/// Deleted by one transaction while another, which begins with the row still there, waits to insert it again.
#[tokio::test]
async fn del_1_by_two_transactions_at_once() -> Result<()> {
    let stage = ada_can_leave().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    ada_is(&stage, true).await?;
    let (leaving, rejoining) = (stage.connect().await?, stage.connect().await?);
    for _ in 0..3 {
        leaving.batch_execute("BEGIN; SELECT leave()").await?;
        // It waits for the unique key, gets it when the row is gone, and commits at once.
        let waiting = async { Ok(rejoining.batch_execute("SELECT rejoin()").await?) };
        let committing = async {
            let waits =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            stage.until("the second transaction to wait", waits, 1).await?;
            anyhow::Ok(leaving.batch_execute("COMMIT").await?)
        };
        tokio::try_join!(waiting, committing)?;
        ada_is(&stage, true).await?;
    }
    stage.end(programs).await
}
