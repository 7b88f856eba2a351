//! The pages of metrics that Prometheus scrapes: promtool finds nothing wrong with them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{checkout, eventually};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::stage::{DEADLINE, Stage};

/// Where promtool is; `cargo xtask test` fetches it, and says so in this variable.
const PROMTOOL_VARIABLE: &str = "LOCKSTEP_PROMTOOL";

fn promtool() -> PathBuf {
    let fetched = checkout().join(".lockstep/deploy-tools/promtool");
    let on_path = || if fetched.exists() { fetched.clone() } else { PathBuf::from("promtool") };
    std::env::var_os(PROMTOOL_VARIABLE).map_or_else(on_path, PathBuf::from)
}

/// What promtool says of a page; empty where it finds nothing wrong.
async fn complaint(promtool: &Path, page: &str) -> Result<String> {
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().context("promtool is missing: `cargo xtask test` fetches it")?;
    child.stdin.take().context("its input")?.write_all(page.as_bytes()).await?;
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.context("promtool did not end")??;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success() == said.is_empty(), "promtool ended with {}: {said}", output.status);
    Ok(said)
}

#[tokio::test]
async fn promtool_has_no_complaint_about_what_a_running_system_says() -> Result<()> {
    let (stage, promtool) = (Stage::small().await?, promtool());
    let worker = stage.worker()?;
    let sequencer = stage.sequencer()?;
    stage.in_step().await?;
    assert_eq!(stage.verifier(&[]).await?.code, Some(0));
    // One that begins to lead tells of it at once.
    sequencer.stop().await?;
    let sequencer = stage.sequencer()?;
    let proven = async || {
        Ok(sequencer.metric(r#"lockstep_verification_verdict{mapping="users"}"#).await? == Some(0.0)
            && sequencer.metric(r#"lockstep_paused_parts{kind="mapping"}"#).await? == Some(0.0))
    };
    eventually("the verdict to be told", DEADLINE, proven).await?;
    let judged_at = sequencer.metric(r#"lockstep_verification_last_timestamp_seconds{mapping="users"}"#).await?;
    let finished =
        stage.number("SELECT extract(epoch FROM max(finished_at))::bigint FROM lockstep.verification").await?;
    #[allow(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let judged_at = judged_at.context("no time")?.round() as i64;
    assert_eq!(judged_at, finished);
    let different = sequencer.metric(r#"lockstep_verification_rows{mapping="users",result="different"}"#).await?;
    assert_eq!((different, sequencer.metric("lockstep_erasures_open").await?), (Some(0.0), Some(0.0)));
    stage.sql(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = (SELECT min("projectUserId"::text)::uuid FROM "ProjectUser")"#).await?;
    stage.equal().await?;
    let version = format!("lockstep_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    for program in [&sequencer, &worker] {
        assert_eq!(program.metric(&version).await?, Some(1.0));
        let (_, page) = program.get("/metrics").await?;
        ensure!(page.contains("# TYPE lockstep_lag_seconds histogram"), "{page}");
        ensure!(page.contains("le=\"0.075\"") && page.contains("le=\"300\""), "{page}");
        assert_eq!(complaint(&promtool, &page).await?, "");
    }
    let rows = async |operation: &str| {
        worker.metric(&format!("lockstep_worker_rows_total{{mapping=\"users\",operation=\"{operation}\"}}")).await
    };
    assert_eq!(rows("tombstone").await?, Some(1.0));
    assert_eq!(worker.metric(r#"lockstep_destination_up{destination="clickhouse"}"#).await?, Some(1.0));
    let broken = "# TYPE lockstep_things counter\nlockstep_things 1\n";
    ensure!(complaint(&promtool, broken).await?.contains("lockstep_things"), "promtool finds nothing at all");
    stage.end([sequencer, worker]).await
}
