//! What operators are told while a service is away or hangs: soon, with its address and what mends it, by every program.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;
use lockstep_testkit::proxy::{Mode, Proxy};
use serde_json::Value;

use crate::events::Told;
use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

const SETTING: &str = "LOCKSTEP_CLICKHOUSE_URL";
const DOWN: &str = "destination_down clickhouse";
const UP: &str = r#"lockstep_destination_up{destination="clickhouse"}"#;
const BEHIND: &str = r#"lockstep_tenancies_behind{mapping="users",destination="clickhouse"}"#;
/// Half a minute, and what it takes to notice and to write it down, on a machine that is busy.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// A proxy in front of ClickHouse, and its URL.
async fn before_clickhouse(stage: &Stage) -> Result<(Proxy, String)> {
    Ok(Proxy::before(&stage.installation.services().clickhouse_url).await?)
}

/// What a command says with another setting, its exit code, and how long it took.
async fn said(stage: &Stage, command: &str, changed: (&str, &str)) -> Result<(Option<i32>, String, Duration)> {
    let (began, tenant) = (Instant::now(), stage.id("engines").await?);
    let words = command.split(' ').map(|word| if word == "TENANT" { &tenant } else { word });
    let told = ended(with_changed(stage, "lockstep", &[changed]).args(words)).await?;
    let said = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    Ok((told.status.code(), said, began.elapsed()))
}

/// That each of these commands ends within its time, with a failure, and names the address.
async fn end_in_time(stage: &Stage, commands: &[(&str, u64)], changed: (&str, &str)) -> Result<()> {
    let (scheme, rest) = changed.1.split_once("://").unwrap_or_default();
    let address = rest.rsplit('@').next().unwrap_or_default().split('?').next().unwrap_or_default();
    for (command, limit_s) in commands {
        let (code, said, took) = said(stage, command, changed).await?;
        ensure!(code != Some(0), "`lockstep {command}` does not fail:\n{said}");
        ensure!(took < Duration::from_secs(*limit_s), "`lockstep {command}` took {took:?}:\n{said}");
        ensure!(said.contains(&format!("{scheme}://{address}")), "`lockstep {command}` names no address:\n{said}");
    }
    Ok(())
}

async fn is_metric(program: &Program, name: &str, value: f64) -> Result<()> {
    eventually(&format!("{name} to be {value}"), DEADLINE, async || Ok(program.metric(name).await? == Some(value)))
        .await
}

#[tokio::test]
async fn a_worker_that_starts_while_clickhouse_is_away_is_seen_and_says_what_it_waits_for() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let sequencer = told.sequencer(&stage, &[])?;
    stage.numbered().await?;
    let (proxy, url) = before_clickhouse(&stage).await?;
    proxy.set(Mode::Cut);
    let worker = stage.start_with("lockstep-worker", &[(SETTING, &url)])?;
    eventually("the worker to say what it waits for", DEADLINE, async || {
        let (status, said) = worker.get("/readyz").await?;
        Ok(status == 503 && [&url, SETTING, "LS-0201"].iter().all(|part| said.contains(part)))
    })
    .await?;
    is_metric(&worker, UP, 0.0).await?;
    ensure!(worker.logged()?.contains(&url), "its log names no address");

    let of_worker =
        "SELECT count(*) FROM lockstep.instance WHERE role = 'worker' AND state #>> '{held_up,why}' LIKE '%LS-0201%'";
    stage.until("the worker to tell what keeps it", of_worker, 1).await?;
    let (code, status, _) = said(&stage, "status", (SETTING, &url)).await?;
    ensure!(code == Some(1) && status.contains("has not been ready for") && status.contains(&url), "{status}");
    let (code, waited, _) = said(&stage, "wait --all --timeout 1", (SETTING, &url)).await?;
    let first = waited.lines().find(|line| line.starts_with("  - ")).unwrap_or_default();
    ensure!(code == Some(2) && first.contains("LS-0201") && first.contains(&url), "{waited}");
    ensure!(!waited.contains("no worker tells"), "{waited}");
    told.until(DOWN, &["raised"]).await?;

    proxy.set(Mode::Pass);
    stage.equal().await?;
    told.until(DOWN, &["raised", "resolved"]).await?;
    is_metric(&worker, UP, 1.0).await?;
    let in_order = async || Ok(said(&stage, "status", (SETTING, &url)).await?.0 == Some(0));
    eventually("nothing to be told any more", DEADLINE, in_order).await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn a_clickhouse_that_hangs_is_told_soon_and_no_command_waits_for_it_for_long() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let (proxy, url) = before_clickhouse(&stage).await?;
    let programs = [told.sequencer(&stage, &[])?, stage.start_with("lockstep-worker", &[(SETTING, &url)])?];
    stage.equal().await?;
    is_metric(&programs[1], BEHIND, 0.0).await?;
    let began = Instant::now();
    proxy.set(Mode::HalfOpen);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'waits'"#).await?;
    is_metric(&programs[1], BEHIND, 2.0).await?;
    told.until(DOWN, &["raised"]).await?;
    ensure!(began.elapsed() < TOLD_WITHIN, "it was told after {:?}", began.elapsed());
    let events = told.all()?;
    let event = events.iter().find(|event| event["kind"] == "destination_down").unwrap_or(&Value::Null);
    ensure!(event["about"]["means"].as_str().is_some_and(|means| means.contains("nothing is lost")), "{event}");
    let (code, status, _) = said(&stage, "status", (SETTING, &url)).await?;
    ensure!(code == Some(1) && status.contains("worker sweep failed") && status.contains(&url), "{status}");

    let commands = [
        ("doctor", 30),
        ("wait --tenant TENANT --timeout 3", 15),
        ("status --tenant TENANT", 15),
        ("explain --mapping users --key TENANT", 20),
        ("access list", 15),
    ];
    end_in_time(&stage, &commands, (SETTING, &url)).await?;
    proxy.set(Mode::Pass);
    stage.equal().await?;
    told.until(DOWN, &["raised", "resolved"]).await?;
    is_metric(&programs[1], BEHIND, 0.0).await?;
    stage.end(programs).await
}

#[tokio::test]
async fn no_command_waits_for_long_for_a_postgres_that_hangs() -> Result<()> {
    let stage = Stage::small().await?;
    let (proxy, url) = Proxy::before(stage.installation.database().url()).await?;
    proxy.set(Mode::HalfOpen);
    let commands =
        [("doctor", 35), ("wait --all --timeout 2", 12), ("status", 25), ("top --once", 40), ("migrate --check", 25)];
    end_in_time(&stage, &commands, ("LOCKSTEP_SOURCE_URL", &url)).await?;
    stage.end([]).await
}

#[tokio::test]
async fn what_answers_at_a_wrong_path_is_told_to_be_no_clickhouse() -> Result<()> {
    let stage = Stage::small().await?;
    let url = format!("{}/nowhere", stage.installation.services().clickhouse_url);
    for command in ["migrate --check", "doctor", "status --tenant TENANT"] {
        let (code, said, _) = said(&stage, command, (SETTING, &url)).await?;
        ensure!(code != Some(0), "`lockstep {command}` does not fail:\n{said}");
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(words.contains("no ClickHouse") && words.contains(SETTING), "`lockstep {command}`:\n{said}");
    }
    stage.end([]).await
}
