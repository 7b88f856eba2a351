//! Workers read from a replica that lags: nothing is lost, and `lockstep wait` does not return before it has arrived. One that they
//! cannot read from is told.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase, connect, eventually};
use lockstep_testkit::installation::Installation;
use serde_json::Value;

use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// A source on a server of its own, and a replica of that.
struct Followed {
    server: PrivatePostgres,
    replica: PrivatePostgres,
    replica_url: String,
    stage: Stage,
}

async fn followed() -> Result<Followed> {
    let server = PrivatePostgres::start().await?;
    let database = TestDatabase::create_on(server.url()).await?;
    let replica = server.replica().await?;
    let replica_url = replica.url_of(database.name());
    let stage = Stage::of(Installation::around(database)?).await?;
    stage.migrate(&["--standalone"]).await?;
    Ok(Followed { server, replica, replica_url, stage })
}

#[tokio::test]
async fn replica_that_lags_costs_time_and_no_rows() -> Result<()> {
    let Followed { mut server, mut replica, replica_url, stage } = followed().await?;
    seed(&stage.client, Shape { tenants: 5, rows: 20, seed: 33 }).await?;
    let sequencer = stage.sequencer()?;
    let reading = [("LOCKSTEP_SOURCE_READ_URL", replica_url.as_str())];
    let worker = stage.start_with("lockstep-worker", &reading)?;
    stage.equal().await?;
    let reader = connect(&replica_url).await?;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lockstep fetch %'";
    ensure!(reader.query_one(sessions, &[]).await?.get::<_, i64>(0) > 0, "the worker does not read from the replica");
    reader.batch_execute("SELECT pg_wal_replay_pause()").await?;
    eventually("replay to be paused", DEADLINE, async || {
        Ok(reader.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await?.get::<_, &str>(0) == "paused")
    })
    .await?;
    stage
        .sql(
            r#"DELETE FROM "ProjectUser" WHERE "isAnonymous";
               UPDATE "ProjectUser" SET "displayName" = 'while it lagged';
               UPDATE "Team" SET "displayName" = 'while it lagged'"#,
        )
        .await?;
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "3"]).await?;
    ensure!(waited.code == Some(2), "`lockstep wait` returned before anything has arrived: {waited:?}");
    eventually("the lag to be told", DEADLINE, async || {
        let lag = worker.metric("lockstep_worker_replica_lag_sequences").await?;
        Ok(lag.is_some_and(|lag| lag > 0.0) && worker.logged()?.contains("the replica has not replayed"))
    })
    .await?;
    let head = reader.query_one("SELECT max(last_sequence) FROM lockstep.pass", &[]).await?.get::<_, i64>(0);
    let passed = stage.seen("SELECT max(last_synced_sequence_id) FROM {raw}._stack_sync_metadata").await?;
    ensure!(passed.parse::<i64>()? <= head, "a cursor is at {passed}, and only {head} was read");
    reader.batch_execute("SELECT pg_wal_replay_resume()").await?;
    stage.equal().await?;
    stage.verified().await?;
    worker.stop().await?;
    drop(reader);
    replica.stop().await?;
    stage.end([sequencer]).await?;
    server.stop().await
}

/// What `lockstep doctor` says of a replica with this URL: outcome, detail and remedy.
async fn told(stage: &Stage, url: &str) -> Result<String> {
    let reading = [("LOCKSTEP_SOURCE_READ_URL", url)];
    let done = ended(with_changed(stage, "lockstep", &reading).args(["doctor", "--output", "json"])).await?;
    let report: Value = serde_json::from_slice(&done.stdout).context("a report")?;
    let is_it = |check: &&Value| check["check"] == "read replica";
    let check = report["checks"].as_array().into_iter().flatten().find(is_it);
    let text = |field| check.and_then(|check| check[field].as_str()).unwrap_or_default();
    ensure!(!report.to_string().contains("hunter2"), "a password is told: {report}");
    Ok(format!("{}: {} → {}", text("outcome"), text("detail"), text("remedy")))
}

#[tokio::test]
async fn replica_that_workers_cannot_read_from_is_told_by_doctor() -> Result<()> {
    let Followed { mut server, mut replica, replica_url: there, stage } = followed().await?;
    let head = stage.number("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await?;
    let reader = connect(&replica.url()).await?;
    eventually("the replica to have replayed that", DEADLINE, async || {
        let at = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint >= $1";
        Ok(reader.query_one(at, &[&head]).await?.get(0))
    })
    .await?;
    let here = stage.installation.database().url().to_owned();
    let fine = "ok: workers can read there what they ship";
    for url in [&here, &there] {
        let said = told(&stage, url).await?;
        ensure!(said.starts_with(fine), "{url}: {said}");
    }
    assert_eq!(told(&stage, "").await?, ":  → ", "none is named");

    stage.sql("CREATE ROLE reader LOGIN").await?;
    let as_reader = here.replace("postgres@", "reader:hunter2@");
    for (grant, lacking) in [
        ("GRANT USAGE ON SCHEMA public TO reader", "permission denied for schema lockstep"),
        ("GRANT USAGE ON SCHEMA lockstep TO reader", "permission denied for table pass"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA lockstep TO reader", "permission denied for table Tenancy"),
        (r#"GRANT SELECT ON "Tenancy" TO reader"#, "permission denied for table Team"),
    ] {
        stage.sql(grant).await?;
        let said = told(&stage, &as_reader).await?;
        ensure!(said.starts_with("finding: ") && said.contains(lacking) && said.contains("SELECT"), "{grant}: {said}");
    }
    stage.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").await?;
    let said = told(&stage, &as_reader).await?;
    ensure!(said.starts_with(fine), "{said}");
    stage.sql(r#"ALTER TABLE "Team" ENABLE ROW LEVEL SECURITY"#).await?;
    let said = told(&stage, &as_reader).await?;
    ensure!(said.starts_with("finding: LS-0031") && said.contains("public.Team"), "{said}");

    // A replica that was promoted has what the source had, and goes its own way.
    reader.batch_execute("SELECT pg_promote()").await?;
    let away = "postgres://me:hunter2@127.0.0.1:1/main";
    for (url, outcome, code, remedy) in [
        (server.url().as_str(), "finding", "LS-0432", "LOCKSTEP_SOURCE_READ_URL"),
        (&there, "finding", "LS-0432", "LOCKSTEP_SOURCE_READ_URL"),
        (away, "unknown", "LS-0012", "start the replica at postgres://127.0.0.1:1"),
    ] {
        let said = told(&stage, url).await?;
        ensure!(said.starts_with(&format!("{outcome}: {code}")) && said.contains(remedy), "{url}: {said}");
    }
    drop(reader);
    replica.stop().await?;
    stage.end([]).await?;
    server.stop().await
}
