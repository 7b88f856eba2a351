//! `lag`: from commit to visible, under a steady rate of changes spread over a thousand tenants.

use std::time::Duration;

use lockstep_core::shutdown::Shutdown;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::figures::{Scenario, rounded};
use super::{fsync, installation};
use crate::data::{Shape, seed};
use crate::installation::Installation;
use crate::lag::{LagProbe, percentile};

const TENANTS: u32 = 1_000;
const USERS: u32 = 10;
/// The floor for p50 at 100 changes a second, which the ratio is taken against: there is no second system in this run.
const FLOOR_P50_MS: f64 = 60.0;

pub(super) async fn measure() -> anyhow::Result<Vec<Scenario>> {
    let (installation, client) = installation().await?;
    seed(&client, Shape { tenants: TENANTS, rows: USERS, seed: 9 }).await?;
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "300"]).await?;
    let durable = fsync(&client).await?;
    let mut scenarios = Vec::new();
    for (changes_per_second, lags) in [(1_u32, 60), (100, 200), (1_000, 200)] {
        let load = Changes::start(&installation, changes_per_second).await?;
        let mut probe = LagProbe::start(&installation).await?;
        probe.until(lags).await?;
        let measured = probe.stop().await?;
        let made = load.stop().await?;
        let millis = |share| percentile(&measured, share).as_secs_f64() * 1000.0;
        scenarios.push(Scenario {
            name: format!("lag at {changes_per_second}/s"),
            ratio: FLOOR_P50_MS / millis(0.5),
            baseline: "a p50 of 60 ms",
            figures: vec![
                ("changes_per_second_wanted", json!(changes_per_second)),
                ("changes_per_second_made", json!(rounded(made))),
                ("p50_ms", json!(rounded(millis(0.5)))),
                ("p99_ms", json!(rounded(millis(0.99)))),
                ("lags_measured", json!(measured.len())),
                ("postgres_fsync", json!(durable)),
            ],
        });
    }
    worker.stop().await?;
    sequencer.stop().await?;
    drop(client);
    installation.remove().await?;
    Ok(scenarios)
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
