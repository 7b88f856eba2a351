//! `million`: very many tenancies with a row each, and a few with very many, made while capture runs, and shipped.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::figures::{Scenario, per_second, rounded};
use super::process::{cpu_seconds, peak_memory_mib};
use super::{fsync, installation};
use lockstep_testkit::data::{Shape, Table, seed_tables};

/// Tenancies with as many users as there are tenancies with one.
const HUGE: u32 = 3;
const FLOOR_SECONDS: f64 = 8.0 * 60.0;
/// How long it is measured what an idle worker costs: its sweep looks some eighty times.
const IDLE: Duration = Duration::from_secs(20);
const NUMBERS: &str =
    "SELECT count(*) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = 'users'";
/// All of Lockstep's.
const SESSIONS: &str =
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep %'";

/// `tenants` with a user each, and [`HUGE`] with `tenants` users each.
pub(super) async fn measure(tenants: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = installation().await?;
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    let began = Instant::now();
    seed_tables(&client, Shape { tenants, rows: 1, seed: 21 }, &[Table::Users]).await?;
    seed_tables(&client, Shape { tenants: HUGE, rows: tenants, seed: 22 }, &[Table::Users]).await?;
    let made = began.elapsed().as_secs_f64();
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "3000"]).await?;
    let seconds = began.elapsed().as_secs_f64();
    let rows = u64::from(tenants) * u64::from(1 + HUGE);
    let raw = installation.raw_database();
    let clickhouse = installation.clickhouse()?;
    let sql = format!(
        "SELECT (SELECT uniqExact(id) FROM {raw}.users), (SELECT uniqExact(tenancy_id, mapping_name) FROM {raw}._stack_sync_metadata)"
    );
    let found: Vec<(u64, u64)> = clickhouse.fetch_rows(&sql).await?;
    let (held, cursors) = found.first().copied().unwrap_or_default();
    anyhow::ensure!(held == rows, "ClickHouse holds {held} of {rows} rows");
    let shipped =
        worker.metric(r#"lockstep_worker_rows_total{mapping="users",operation="upsert"}"#).await?.unwrap_or_default();
    let numbers: i64 = client.query_one(NUMBERS, &[]).await?.get(0);
    let status_began = Instant::now();
    installation.succeed("lockstep", &["status"]).await?;
    let status = status_began.elapsed().as_secs_f64();
    let memory_mib = peak_memory_mib(&worker)?;
    // What is left is the worker alone.
    sequencer.stop().await?;
    let mut ids = vec![worker.id().context("the worker has ended")?];
    for row in client.query(SESSIONS, &[]).await? {
        ids.push(u32::try_from(row.get::<_, i32>(0))?);
    }
    let before = cpu_seconds(&ids)?;
    tokio::time::sleep(IDLE).await;
    let idle = (cpu_seconds(&ids)? - before) / IDLE.as_secs_f64();
    worker.stop().await?;
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    #[allow(clippy::cast_precision_loss, reason = "a count of rows")]
    let duplicates = shipped / rows as f64 - 1.0;
    Ok(Scenario {
        name: format!("{tenants} tenants of 1, {HUGE} of {tenants}"),
        ratio: FLOOR_SECONDS / seconds,
        baseline: "8 minutes from the first insert to the last row",
        figures: vec![
            ("rows", json!(rows)),
            ("seconds", json!(rounded(seconds))),
            ("seconds_of_the_inserts", json!(rounded(made))),
            ("rows_per_second", json!(per_second(rows, seconds))),
            ("duplicates_shipped_percent", json!(rounded(duplicates * 100.0))),
            ("numbers_given", json!(numbers)),
            ("cursors", json!(cursors)),
            ("pairs_with_rows", json!(tenants + HUGE)),
            ("status_seconds", json!(rounded(status))),
            ("worker_peak_memory_mib", json!(memory_mib)),
            ("idle_worker_and_its_sessions_percent_of_a_core", json!(rounded(idle * 100.0))),
            ("postgres_fsync", json!(durable)),
        ],
    })
}
