//! Freshness as numbers: what waits shows, where it waits and for how long, and what has arrived counts as lag once.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;

use crate::stage::{DEADLINE, Stage};

const BEHIND: &str = r#"lockstep_tenancies_behind{mapping="users",destination="clickhouse"}"#;
const RESULT: &str =
    "SELECT count(*) FROM lockstep.sweep_result WHERE mapping_name = 'users' AND destination = 'clickhouse'
  AND swept_at > clock_timestamp() - interval '20 seconds'";

fn news(stage: &str) -> String {
    format!("lockstep_oldest_news_seconds{{stage=\"{stage}\"}}")
}

/// Waits until a metric has such a value.
async fn until(program: &Program, metric: &str, is_right: impl Fn(f64) -> bool) -> Result<()> {
    let right = async || Ok(program.metric(metric).await?.is_some_and(&is_right));
    eventually(&format!("{metric} to be right"), DEADLINE, right).await
}

/// How many observations of a leg there are, and how many of them of a second at most.
async fn lag(program: &Program, leg: &str, destination: &str) -> Result<(f64, f64)> {
    let value = async |name: &str, bucket: &str| {
        let labels = format!("leg=\"{leg}\"{destination}{bucket}");
        Ok::<_, anyhow::Error>(
            program.metric(&format!("lockstep_lag_seconds_{name}{{{labels}}}")).await?.unwrap_or_default(),
        )
    };
    Ok((value("count", "").await?, value("bucket", ",le=\"1\"").await?))
}

const TO: &str = ",destination=\"clickhouse\"";

#[tokio::test]
async fn changes_that_arrive_in_a_tenants_own_database_count_as_lag() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let own = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    let [sequencer, worker] = [stage.sequencer()?, stage.worker()?];
    stage.all_equal(&[&own]).await?;
    let before = lag(&worker, "total", ",destination=\"tenants\"").await?.0;
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'renamed'"#).await?;
    stage.all_equal(&[&own]).await?;
    let counted = async || Ok(lag(&worker, "total", ",destination=\"tenants\"").await?.0 > before);
    eventually("the change to be counted", DEADLINE, counted).await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn a_change_that_waits_is_old_news_and_a_tenancy_behind_until_it_is_shipped() -> Result<()> {
    let stage = Stage::small().await?;
    let [sequencer, worker] = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    until(&worker, BEHIND, |tenancies| tenancies == 0.0).await?;
    until(&worker, &news("behind"), |age| age == 0.0).await?;
    until(&sequencer, &news("inbox"), |age| age == 0.0).await?;
    let before = lag(&worker, "stamp_to_visible", TO).await?;
    ensure!(before.0 > 0.0, "nothing was counted");

    stage.installation.succeed("lockstep", &["pause", "mapping", "users"]).await?;
    // Until all workers obey.
    stage
        .until(
            "the pause to be seen",
            "SELECT count(*) FROM lockstep.pause WHERE paused_at < now() - interval '2 seconds'",
            1,
        )
        .await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'renamed' WHERE "projectUserId" = (SELECT min("projectUserId"::text)::uuid FROM "ProjectUser")"#).await?;
    until(&worker, BEHIND, |tenancies| tenancies == 1.0).await?;
    until(&worker, &news("behind"), |age| age > 1.5).await?;
    stage
        .until(
            "the result to be written",
            &format!("{RESULT} AND behind = 1 AND oldest_behind_since < clock_timestamp() - interval '1 second'"),
            1,
        )
        .await?;
    assert_eq!(sequencer.metric(&news("inbox")).await?, Some(0.0), "it has its number");
    assert_eq!(lag(&worker, "stamp_to_visible", TO).await?, before, "it is not visible");

    stage.installation.succeed("lockstep", &["resume", "mapping", "users"]).await?;
    stage.equal().await?;
    until(&worker, BEHIND, |tenancies| tenancies == 0.0).await?;
    until(&worker, &news("behind"), |age| age == 0.0).await?;
    stage
        .until("the result to be written", &format!("{RESULT} AND behind = 0 AND oldest_behind_since IS NULL"), 1)
        .await?;
    let after = lag(&worker, "stamp_to_visible", TO).await?;
    assert_eq!(after, (before.0 + 1.0, before.1), "one tenancy more, and it took longer than a second");
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn a_change_without_a_number_is_old_news_of_the_inbox_and_counts_from_its_commit() -> Result<()> {
    let stage = Stage::small().await?;
    let [sequencer, worker] = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    stage.installation.succeed("lockstep", &["pause", "sequencer"]).await?;
    until(&sequencer, "lockstep_sequencer_paused", |paused| paused == 1.0).await?;
    assert_eq!(sequencer.metric(&news("inbox")).await?, Some(0.0));
    let before = [lag(&sequencer, "commit_to_stamp", "").await?, lag(&worker, "total", TO).await?];
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'renamed' WHERE "projectUserId" = (SELECT min("projectUserId"::text)::uuid FROM "ProjectUser")"#).await?;
    until(&sequencer, &news("inbox"), |age| age > 1.5).await?;
    stage.installation.succeed("lockstep", &["resume", "sequencer"]).await?;
    stage.equal().await?;
    until(&sequencer, &news("inbox"), |age| age == 0.0).await?;
    let after = [lag(&sequencer, "commit_to_stamp", "").await?, lag(&worker, "total", TO).await?];
    assert_eq!(after, before.map(|(all, soon)| (all + 1.0, soon)), "one more each, of more than a second");
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn programs_say_that_they_live_and_commands_who_ran_them() -> Result<()> {
    let stage = Stage::small().await?;
    let [sequencer, worker] = [stage.sequencer()?, stage.worker()?];
    let standby = stage.sequencer()?;
    stage.in_step().await?;
    let ready = "SELECT count(*) FROM lockstep.instance WHERE version <> '' AND state ->> 'ready' = 'true' AND state ->> 'why' IS NULL";
    stage.until("all to be ready", ready, 3).await?;
    let roles = "SELECT count(*) FROM lockstep.instance WHERE (role, state ->> 'leads') IN (('sequencer', 'true'), ('sequencer', 'false'))";
    stage.until("one to lead and one to stand by", roles, 2).await?;
    let told = stage.installation.succeed("lockstep", &["status", "--output", "json"]).await?.stdout;
    let status: serde_json::Value = serde_json::from_str(&told)?;
    let instances = status["instances"].as_array().context("status has no instances")?;
    ensure!(instances.len() == 3 && instances.iter().all(|one| one["is_alive"] == true), "{told}");
    crate::json::compare("status", &status)?;
    let printed = stage.installation.succeed("lockstep", &["status"]).await?.stdout;
    ensure!(printed.contains(" leads") && printed.contains(" stands by") && printed.contains("worker "), "{printed}");

    let secret = "not to be written down";
    stage.installation.succeed("lockstep", &["pause", "mapping", "users", "--reason", secret]).await?;
    let failed = stage.installation.run("lockstep", &["settings", "set", "late_write_limit", "'ten'"]).await?;
    let entry = |what: &str, outcome: &str| {
        format!(
            "SELECT count(*) FROM lockstep.action WHERE who LIKE session_user || '%' AND what = '{what}' AND outcome = '{outcome}'"
        )
    };
    assert_eq!(stage.number(&entry("pause", "ended with 0")).await?, 1);
    assert_eq!(stage.number(&entry("migrate", "ended with 0")).await?, 1, "though its table was not there at first");
    let failed = entry("settings set", &format!("failed with {}", failed.code.context("a signal")?));
    assert_eq!(stage.number(&failed).await?, 1);
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.action").await?, 3, "what only asks is not written down");
    let named = r#"SELECT count(*) FROM lockstep.action WHERE arguments = '{"kind": "mapping", "name": "users"}'"#;
    assert_eq!(stage.number(named).await?, 1);
    let leaked = format!("SELECT count(*) FROM lockstep.action a WHERE a::text LIKE '%{secret}%'");
    assert_eq!(stage.number(&leaked).await?, 0);
    stage.end([sequencer, worker, standby]).await
}
