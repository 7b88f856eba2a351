//! `lockstep status` shows what each periodic task did last, and why one fails.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use serde_json::Value;

use crate::stage::{DEADLINE, Stage};

/// All of them, with their programs.
const TASKS: [&str; 9] = [
    "sequencer events",
    "sequencer expand",
    "sequencer upkeep",
    "sequencer watch",
    "worker end fills",
    "worker fill",
    "worker janitor",
    "worker pauses",
    "worker sweep",
];

async fn tasks(stage: &Stage) -> Result<Vec<Value>> {
    let status = stage.installation.run("lockstep", &["status", "--output", "json"]).await?;
    let status: Value = serde_json::from_str(&status.stdout)?;
    Ok(status["tasks"].as_array().context("status has no tasks")?.clone())
}

async fn task(stage: &Stage, name: &str) -> Result<Value> {
    let found = tasks(stage).await?.into_iter().find(|task| task["name"] == name);
    found.with_context(|| format!("status does not show {name}"))
}

#[tokio::test]
async fn status_shows_what_each_task_did_and_why_one_fails() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    eventually("every task to have told of a run", DEADLINE, async || {
        let told = tasks(&stage).await?;
        let names: Vec<_> = told
            .iter()
            .map(|task| [&task["program"], &task["name"]].map(|text| text.as_str().unwrap_or("?")).join(" "))
            .collect();
        Ok(names == TASKS && told.iter().all(|task| task["last_run"].is_string() && task["took_ms"].is_number()))
    })
    .await?;
    stage.installation.succeed("lockstep", &["resync", "--mapping", "users"]).await?;
    eventually("the fill to be counted", DEADLINE, async || {
        Ok(task(&stage, "fill").await?["did"] == 1 && task(&stage, "end fills").await?["did"].as_i64() >= Some(1))
    })
    .await?;

    stage.sql("ALTER TABLE lockstep.change_partition RENAME TO out_of_sight").await?;
    eventually("the failure to be shown", DEADLINE, async || Ok(task(&stage, "upkeep").await?["is_failing"] == true))
        .await?;
    let upkeep = task(&stage, "upkeep").await?;
    ensure!(upkeep["failed_at"].is_string(), "{upkeep}");
    ensure!(
        upkeep["error"]
            .as_str()
            .is_some_and(|error| error.contains("LS-0023") && error.contains("lockstep.change_partition")),
        "{upkeep}"
    );
    let finished = stage.installation.run("lockstep", &["status"]).await?;
    ensure!(finished.code == Some(1), "a task fails");
    let printed = finished.stdout;
    ensure!(printed.contains("sequencer upkeep failed at "), "{printed}");

    stage.sql("ALTER TABLE lockstep.out_of_sight RENAME TO change_partition").await?;
    eventually("the task to run again", DEADLINE, async || Ok(task(&stage, "upkeep").await?["is_failing"] == false))
        .await?;
    ensure!(task(&stage, "upkeep").await?["error"] == upkeep["error"], "the last failure stays to be read");
    stage.end(programs).await
}

/// Pausing mends nothing: what failed is told as it was, and why nobody knows more.
#[tokio::test]
async fn a_task_that_failed_and_is_not_tried_since_is_told_so_until_it_is() -> Result<()> {
    let stage = Stage::small().await?;
    stage.sql("ALTER TABLE lockstep.sweep_result RENAME TO out_of_sight").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let sweep_is = async |what: &str| {
        let is = async || Ok(task(&stage, "sweep").await.is_ok_and(|sweep| sweep[what] == true));
        eventually(&format!("the sweep to be {what}"), DEADLINE, is).await
    };
    sweep_is("is_failing").await?;
    stage.installation.succeed("lockstep", &["pause", "workers"]).await?;
    sweep_is("is_untried").await?;
    let sweep = task(&stage, "sweep").await?;
    ensure!(
        sweep["is_failing"] == false && sweep["error"].as_str().is_some_and(|why| why.contains("LS-0023")),
        "{sweep}"
    );
    ensure!(sweep["waits_for"] == "shipping is paused (`lockstep paused`)", "{sweep}");
    let fill = task(&stage, "fill").await?;
    ensure!(fill["waits_for"] == sweep["waits_for"] && fill["is_untried"] == false, "it has not failed: {fill}");
    stage.sql("ALTER TABLE lockstep.out_of_sight RENAME TO sweep_result").await?;
    stage.installation.succeed("lockstep", &["resume", "workers"]).await?;
    let well = async || {
        let sweep = task(&stage, "sweep").await?;
        let is_not = |what: &str| sweep[what] == false;
        Ok(is_not("is_failing")
            && is_not("is_untried")
            && sweep["waits_for"].is_null()
            && sweep["last_run"].is_string())
    };
    eventually("the sweep to be tried and to be well", DEADLINE, well).await?;
    stage.end(programs).await
}

/// Whoever writes down how others are does so of itself only when it has failed: then also that it does no more.
#[tokio::test]
async fn a_task_that_nobody_is_told_of_is_not_called_failing_for_ever() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    stage.sql("ALTER TABLE lockstep.task RENAME TO out_of_sight").await?;
    for program in &programs {
        let failed = async || Ok(program.metric(r#"lockstep_task_failures_total{task="status"}"#).await? >= Some(1.0));
        eventually("statuses not to be written", DEADLINE, failed).await?;
    }
    stage.sql("ALTER TABLE lockstep.out_of_sight RENAME TO task").await?;
    let over = "SELECT count(*) FROM lockstep.task WHERE name = 'status' AND failed_at < last_run";
    stage.until("both to have told that they write again", over, 2).await?;
    ensure!(tasks(&stage).await?.iter().all(|task| task["is_failing"] == false), "{:?}", tasks(&stage).await?);
    stage.end(programs).await
}
