//! `backlog`: single-row updates that were committed while everything was stopped, then numbered and shipped.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio_postgres::Client;

use super::figures::{Scenario, median, per_second, rounded};
use super::{fsync, installation, passes};
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Installation, Program};

pub(super) const CHANGES: u32 = 200_000;
/// What a log-based tool (Supabase ETL) did on such a machine, and more.
const FLOOR_PER_SECOND: f64 = 45_000.0;
/// Updates whose answers are not there yet, on one connection.
const IN_FLIGHT: usize = 64;
const DEADLINE: Duration = Duration::from_secs(600);

/// Of so many tenancies.
pub(super) async fn measure(tenants: u32, runs: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = ready(tenants).await?;
    let mut seconds = Vec::new();
    for _ in 0..runs {
        seconds.push(run(&installation, &client, &[]).await?);
    }
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    let took = median(&seconds);
    Ok(Scenario {
        name: format!("backlog of {tenants} tenants"),
        ratio: f64::from(CHANGES) / took / FLOOR_PER_SECOND,
        baseline: "45,000 changes a second, from the start of both programs",
        figures: vec![
            ("changes", json!(CHANGES)),
            ("seconds", json!(rounded(took))),
            ("changes_per_second", json!(per_second(u64::from(CHANGES), took))),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}

/// Users of so many tenancies, which are in ClickHouse.
pub(super) async fn ready(tenants: u32) -> anyhow::Result<(Installation, Client)> {
    let (installation, client) = installation().await?;
    let shape = Shape { tenants, rows: CHANGES / tenants, seed: 11 };
    seed_tables(&client, shape, &[Table::Users]).await?;
    let programs = start(&installation, &[])?;
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "600"]).await?;
    stop(programs).await?;
    Ok((installation, client))
}

/// Seconds from the start of sequencer and worker, with these variables, to the last row in ClickHouse.
pub(super) async fn run(
    installation: &Installation,
    client: &Client,
    variables: &[(&str, &str)],
) -> anyhow::Result<f64> {
    let before = passes::head(client).await?;
    let changed = update_each(client).await?;
    let clickhouse = installation.clickhouse()?;
    let raw = installation.raw_database();
    let sql = format!("SELECT count() FROM {raw}.users WHERE sync_sequence_id > {}", before.get());
    let began = Instant::now();
    let programs = start(installation, variables)?;
    eventually("all changes are in ClickHouse", DEADLINE, async || {
        let found: Vec<(u64,)> = clickhouse.fetch_rows(&sql).await?;
        Ok(found.first().is_some_and(|row| row.0 >= changed))
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let found: Vec<(u64,)> = clickhouse.fetch_rows(&sql.replace("count()", "uniqExact(id)")).await?;
    anyhow::ensure!(found == [(changed,)], "ClickHouse does not hold every change");
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "600"]).await?;
    stop(programs).await?;
    Ok(seconds)
}

/// Updates every user in a transaction of its own.
async fn update_each(client: &Client) -> anyhow::Result<u64> {
    client.batch_execute("SET synchronous_commit = off").await?;
    let users = client.query(r#"SELECT "tenancyId", "projectUserId" FROM "ProjectUser""#, &[]).await?;
    let users: Vec<(uuid::Uuid, uuid::Uuid)> = users.iter().map(|row| (row.get(0), row.get(1))).collect();
    let sql = r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.' WHERE "tenancyId" = $1 AND "projectUserId" = $2"#;
    let statement = client.prepare(sql).await?;
    let statement = &statement;
    let update =
        |(tenancy, user): (uuid::Uuid, uuid::Uuid)| async move { client.execute(statement, &[&tenancy, &user]).await };
    let changed =
        stream::iter(users).map(update).buffered(IN_FLIGHT).try_fold(0, async |sum, one| Ok(sum + one)).await?;
    Ok(changed)
}

fn start(installation: &Installation, variables: &[(&str, &str)]) -> anyhow::Result<[Program; 2]> {
    let sequencer = installation.start_with("lockstep-sequencer", "bench-sequencer", variables)?;
    Ok([sequencer, installation.start_with("lockstep-worker", "bench-worker", variables)?])
}

async fn stop(programs: [Program; 2]) -> anyhow::Result<()> {
    for program in programs {
        program.stop().await?;
    }
    Ok(())
}
