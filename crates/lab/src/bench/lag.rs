//! `lag`: from commit to visible, of one change in two seconds and nothing else, and under a steady rate of changes spread
//! over a thousand tenants.

use std::time::Duration;

use lockstep_core::shutdown::Shutdown;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::figures::{Scenario, rounded};
use super::{fsync, installation, legs};
use crate::lag::{LagProbe, percentile};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::installation::{Installation, Program};

const TENANTS: u32 = 1_000;
const USERS: u32 = 10;
/// What is measured under, and the floor of its p50, which the ratio is taken against: there is no second system in this run.
struct Load {
    name: &'static str,
    /// Beside the probe's own.
    changes_per_second: Option<u32>,
    /// Between two changes of the probe's.
    pause: Duration,
    lags: usize,
    floor_p50_ms: f64,
    floor: &'static str,
}

/// The first is one change in two seconds, with nothing that keeps anybody awake.
const LOADS: [Load; 3] = [
    Load {
        name: "lag at 0.5/s",
        changes_per_second: None,
        pause: Duration::from_secs(2),
        lags: 60,
        floor_p50_ms: 20.0,
        floor: "a p50 of 20 ms",
    },
    Load {
        name: "lag at 100/s",
        changes_per_second: Some(100),
        pause: Duration::from_millis(37),
        lags: 200,
        floor_p50_ms: 25.0,
        floor: "a p50 of 25 ms",
    },
    Load {
        name: "lag at 1000/s",
        changes_per_second: Some(1_000),
        pause: Duration::from_millis(37),
        lags: 200,
        floor_p50_ms: 30.0,
        floor: "a p50 of 30 ms",
    },
];

pub(super) async fn measure() -> anyhow::Result<Vec<Scenario>> {
    let (installation, client) = installation().await?;
    seed(&client, Shape { tenants: TENANTS, rows: USERS, seed: 9 }).await?;
    let sequencer = installation.start_with("lockstep-sequencer", "bench-sequencer", &legs::VARIABLES)?;
    let worker = installation.start_with("lockstep-worker", "bench-worker", &legs::VARIABLES)?;
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "300"]).await?;
    let durable = fsync(&client).await?;
    let mut scenarios = Vec::new();
    for load in LOADS {
        scenarios.push(under(load, &installation, &client, [&sequencer, &worker], &durable).await?);
    }
    worker.stop().await?;
    sequencer.stop().await?;
    drop(client);
    installation.remove().await?;
    Ok(scenarios)
}

async fn under(
    load: Load,
    installation: &Installation,
    client: &Client,
    programs: [&Program; 2],
    durable: &str,
) -> anyhow::Result<Scenario> {
    let changes = match load.changes_per_second {
        Some(per_second) => Some(Changes::start(installation, per_second).await?),
        None => None,
    };
    let mut probe = LagProbe::start_every(load.pause, installation).await?;
    probe.until(load.lags).await?;
    let parts = active_parts(installation).await?;
    let probed = probe.probed;
    let measured = probe.stop().await?;
    let made = match changes {
        Some(changes) => changes.stop().await?,
        None => 0.0,
    };
    let millis = |share| percentile(measured.iter().map(|lag| lag.took), share).as_secs_f64() * 1000.0;
    let mut figures = vec![
        ("other_changes_per_second_wanted", json!(load.changes_per_second.unwrap_or(0))),
        ("other_changes_per_second_made", json!(rounded(made))),
        ("p50_ms", json!(rounded(millis(0.5)))),
        ("p99_ms", json!(rounded(millis(0.99)))),
        ("lags_measured", json!(measured.len())),
        ("most_active_parts_of_a_table_at_the_end", json!(parts)),
        ("postgres_fsync", json!(durable)),
    ];
    figures.extend(legs::measure(client, probed, &measured, &programs).await?);
    Ok(Scenario { name: load.name.to_owned(), ratio: load.floor_p50_ms / millis(0.5), baseline: load.floor, figures })
}

/// Of the raw table, or the table of cursors, that has most of them.
async fn active_parts(installation: &Installation) -> anyhow::Result<u64> {
    let sql = format!(
        "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts WHERE database = '{}' AND active GROUP BY table)",
        installation.raw_database()
    );
    let found: Vec<(u64,)> = installation.clickhouse()?.fetch_rows(&sql).await?;
    Ok(found.first().map_or(0, |row| row.0))
}

/// Changes at a steady rate, each in its own transaction.
struct Changes {
    task: JoinHandle<anyhow::Result<f64>>,
    stop: Shutdown,
}

impl Changes {
    async fn start(installation: &Installation, per_second: u32) -> anyhow::Result<Self> {
        let client = installation.database().connect().await?;
        // Commits that wait for the disk one after the other would not reach a thousand a second.
        client.batch_execute("SET synchronous_commit = off").await?;
        let users = client.query(r#"SELECT "tenancyId", "projectUserId" FROM "ProjectUser""#, &[]).await?;
        let users: Vec<(uuid::Uuid, uuid::Uuid)> = users.iter().map(|row| (row.get(0), row.get(1))).collect();
        let stop = Shutdown::new();
        let task = tokio::spawn(change(client, users, per_second, stop.clone()));
        Ok(Self { task, stop })
    }

    /// Changes a second that were really made.
    async fn stop(self) -> anyhow::Result<f64> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn change(
    client: Client,
    users: Vec<(uuid::Uuid, uuid::Uuid)>,
    per_second: u32,
    stop: Shutdown,
) -> anyhow::Result<f64> {
    let sql = r#"UPDATE "ProjectUser" SET "displayName" = $3 WHERE "tenancyId" = $1 AND "projectUserId" = $2"#;
    let statement = client.prepare(sql).await?;
    let mut rng = StdRng::seed_from_u64(1);
    let mut every = tokio::time::interval(Duration::from_secs(1) / per_second);
    let (began, mut made) = (std::time::Instant::now(), 0_u32);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let (tenancy, user) = &users[rng.random_range(0..users.len())];
        client.execute(&statement, &[tenancy, user, &format!("change {made}")]).await?;
        made += 1;
    }
    Ok(f64::from(made) / began.elapsed().as_secs_f64())
}
