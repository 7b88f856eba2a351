//! `fan-in`: a few changed rows of each of thousands of tenants.

use std::time::{Duration, Instant};

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::ClickHouse;
use serde_json::json;
use tokio_postgres::Client;

use super::figures::{Scenario, median, per_second, rounded};
use super::{fsync, installation, passes, plain_loop};
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Installation, Program};

/// What changes.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) tenants: u32,
    /// Of each tenant.
    pub(super) rows: u32,
    /// Tenants that the plain loop is measured on; its time is scaled to all of them.
    pub(super) loop_tenants: u32,
}

const DEADLINE: Duration = Duration::from_secs(300);

pub(super) async fn measure(load: Load, runs: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = installation().await?;
    let shape = Shape { tenants: load.tenants, rows: load.rows, seed: 5 };
    seed_tables(&client, shape, &[Table::Users]).await?;
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "300"]).await?;
    let clickhouse = installation.clickhouse()?;
    let (mut ours, mut plain, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let (seconds, new_parts, before) = ship(&installation, &client, &clickhouse, &worker).await?;
        ours.push(seconds);
        parts.push(new_parts);
        let tenancies = some_tenancies(&client, load.loop_tenants).await?;
        let scale = f64::from(load.tenants) / f64::from(load.loop_tenants.min(load.tenants));
        plain.push(plain_loop::ship(&installation, &tenancies, before).await? * scale);
    }
    worker.stop().await?;
    sequencer.stop().await?;
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    let (ours, plain) = (median(&ours), median(&plain));
    let rows = u64::from(load.tenants) * u64::from(load.rows);
    Ok(Scenario {
        name: format!("fan-in {} × {}", load.tenants, load.rows),
        ratio: plain / ours,
        baseline: "one read, one insert and one cursor write a tenant",
        figures: vec![
            ("tenants", json!(load.tenants)),
            ("rows_per_tenant", json!(load.rows)),
            ("seconds", json!(rounded(ours))),
            ("rows_per_second", json!(per_second(rows, ours))),
            ("loop_seconds", json!(rounded(plain))),
            ("loop_tenants_measured", json!(load.loop_tenants.min(load.tenants))),
            ("new_parts_of_users_in_a_run", json!(parts.iter().max())),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}

/// Changes every row while the worker stands still, lets the sequencer announce all of it, then lets the worker go.
/// Returns seconds from there to the last cursor, new parts, and the sequence before the change.
async fn ship(
    installation: &Installation,
    client: &Client,
    clickhouse: &ClickHouse,
    worker: &Program,
) -> anyhow::Result<(f64, u64, SequenceId)> {
    let before = passes::head(client).await?;
    worker.signal("STOP").await?;
    client.batch_execute(r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.'"#).await?;
    passes::drained(client).await?;
    let target = passes::head(client).await?;
    eventually("all changes are announced", DEADLINE, async || {
        let sql = "SELECT coalesce(max(sequence), 0) >= $1 FROM lockstep.announced";
        Ok(client.query_one(sql, &[&target.get()]).await?.get(0))
    })
    .await?;
    let changed: i64 = client.query_one(r#"SELECT count(*) FROM "ProjectUser""#, &[]).await?.get(0);
    let parts_before = parts(installation, clickhouse).await?;
    let began = Instant::now();
    worker.signal("CONT").await?;
    // All rows are there, and the cursors beside them.
    let sql = format!(
        "SELECT (SELECT count() FROM {raw}.users WHERE sync_sequence_id > {after}), (SELECT max(last_synced_sequence_id) FROM {raw}._stack_sync_metadata)",
        raw = installation.raw_database(),
        after = before.get(),
    );
    eventually("all changes are in ClickHouse", DEADLINE, async || {
        let found: Vec<(u64, i64)> = clickhouse.fetch_rows(&sql).await?;
        Ok(found.first().is_some_and(|row| row.0 >= changed.unsigned_abs() && row.1 >= target.get()))
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok((seconds, parts(installation, clickhouse).await? - parts_before, before))
}

async fn some_tenancies(client: &Client, count: u32) -> anyhow::Result<Vec<TenancyId>> {
    let rows = client.query(r#"SELECT t."id" FROM "Tenancy" t LIMIT $1"#, &[&i64::from(count)]).await?;
    Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
}

/// Parts that inserts into `users` ever made: each takes the next block number.
async fn parts(installation: &Installation, clickhouse: &ClickHouse) -> anyhow::Result<u64> {
    let sql = format!(
        "SELECT toUInt64(max(max_block_number)) FROM system.parts WHERE database = '{}' AND table = 'users'",
        installation.raw_database()
    );
    let found: Vec<(u64,)> = clickhouse.fetch_rows(&sql).await?;
    Ok(found.first().map_or(0, |row| row.0))
}
