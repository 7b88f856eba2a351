//! Workers read from a replica that lags: nothing is lost, and `lockstep wait` does not return before it has arrived.

use anyhow::{Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase, connect, eventually};
use lockstep_testkit::installation::Installation;

use crate::stage::{DEADLINE, Stage};

#[tokio::test]
async fn replica_that_lags_costs_time_and_no_rows() -> Result<()> {
    let mut server = PrivatePostgres::start().await?;
    let database = TestDatabase::create_on(server.url()).await?;
    let mut replica = server.replica().await?;
    let replica_url = replica.url_of(database.name());
    let stage = Stage::of(Installation::around(database)?).await?;
    stage.migrate(&["--standalone"]).await?;
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
