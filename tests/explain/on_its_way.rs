//! A row that is on its way: what it waits for is said, and what keeps it.

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use tokio::sync::watch;

use super::{IN_STEP, ON_ITS_WAY, explained, in_clickhouse, says};
use crate::pause::says as logs;
use crate::stage::{DEADLINE, Stage};

const RENAME: &str = r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada')"#;

#[tokio::test]
async fn explain_says_that_a_change_waits_for_its_number_its_worker_or_a_pause() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let ada = stage.id("ada").await?;
    stage.installation.succeed("lockstep", &["pause", "mapping", "users", "--reason", "for a test"]).await?;
    logs(&worker, "some_paused=true", 1).await?;

    stage.installation.succeed("lockstep", &["pause", "sequencer"]).await?;
    let paused = async || Ok(sequencer.metric("lockstep_sequencer_paused").await? == Some(1.0));
    eventually("the sequencer to pause", DEADLINE, paused).await?;
    stage.sql(RENAME).await?;
    let story = explained(&stage, "users", &ada, ON_ITS_WAY).await?;
    says(&story, "a change waits for its number, and sequencer paused since")?;
    ensure!(story["next"] == "lockstep resume sequencer", "{story}");
    ensure!(story["tenancies"][0]["waiting"]["lines"] == 1, "{story}");
    ensure!(in_clickhouse(&story)["rows"][0]["columns"][0] == "display_name", "{story}");

    stage.installation.succeed("lockstep", &["resume", "sequencer"]).await?;
    stage.numbered().await?;
    let story = explained(&stage, "users", &ada, ON_ITS_WAY).await?;
    let number = &story["tenancies"][0]["changes"]["last"][0]["sequence"];
    says(&story, &format!("change {number} has not arrived"))?;
    says(&story, "and mapping users paused since")?;
    ensure!(in_clickhouse(&story)["paused"][0]["reason"] == "for a test", "{story}");
    ensure!(story["next"] == "lockstep resume mapping users", "{story}");

    worker.signal("STOP").await?;
    stage.installation.succeed("lockstep", &["resume", "mapping", "users"]).await?;
    let story = explained(&stage, "users", &ada, ON_ITS_WAY).await?;
    says(&story, "has not arrived, it is at")?;
    ensure!(in_clickhouse(&story)["paused"].as_array().is_some_and(Vec::is_empty), "{story}");
    worker.signal("CONT").await?;
    stage.equal().await?;
    explained(&stage, "users", &ada, IN_STEP).await?;
    stage.end([sequencer, worker]).await
}

/// Rows that follow a tenancy are searched later: their keys are in no line.
#[tokio::test]
async fn explain_says_that_rows_are_still_to_be_searched() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    sequencer.stop().await?;
    stage.sql(r#"UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines')"#).await?;
    let story = explained(&stage, "users", &stage.id("ada").await?, ON_ITS_WAY).await?;
    says(&story, "a change waits for its number")?;
    ensure!(story["tenancies"][0]["waiting"]["searches"].as_i64() >= Some(1), "{story}");
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.end([sequencer, worker]).await
}

/// A row that changes all the time differs in many a look, and is never called wrong.
#[tokio::test]
async fn explain_calls_nothing_wrong_that_is_changing_all_the_time() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let (ada, client) = (stage.id("ada").await?, stage.connect().await?);
    let (stop, stopping) = watch::channel(());
    let editing = tokio::spawn(async move {
        let edit =
            r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2 ' || random() WHERE "projectUserId" = id('ada')"#;
        while !stopping.has_changed().unwrap_or(true) {
            client.batch_execute(edit).await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    });
    for _ in 0..20 {
        let arguments = ["explain", "--mapping", "users", "--key", &ada];
        let told = stage.installation.run("lockstep", &arguments).await?;
        ensure!([Some(IN_STEP), Some(ON_ITS_WAY)].contains(&told.code), "{told:?}");
    }
    drop(stop);
    editing.await??;
    stage.equal().await?;
    explained(&stage, "users", &ada, IN_STEP).await?;
    stage.end(programs).await
}
