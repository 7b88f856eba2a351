//! `postgres`: one tenant's users in a Postgres of its own, first as a fill, then as changes, through one worker. Beside it, through
//! the same proxy to the same server, one upsert a row and a plain `COPY` of the same rows into a table without a key.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::{TestDatabase, connect, eventually};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::tenant_database::TenantDatabase;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::figures::{Scenario, per_second, rounded};
use super::process::peak_memory_mib;
use super::{fsync, installation_around, passes};
use crate::lag::{LagProbe, percentile};

const DEADLINE: Duration = Duration::from_secs(600);
/// One upsert a row is measured with so many of them.
const UPSERTS: i64 = 5_000;
/// Between two looks for a change.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// Changes whose lag is measured.
const LAGS: usize = 60;

/// Seconds for all rows, by way.
struct Seconds {
    fill: f64,
    stream: f64,
    copy: f64,
    upserts: f64,
}

pub(super) async fn measure(rows: u32) -> anyhow::Result<Vec<Scenario>> {
    let database = TestDatabase::standalone().await?;
    let client = database.connect().await?;
    seed_tables(&client, Shape { tenants: 1, rows, seed: 7 }, &[Table::Users]).await?;
    client.batch_execute("VACUUM ANALYZE").await.context("vacuuming")?;
    drop(client);
    let (installation, client) = installation_around(database).await?;
    let installation = installation.with_tenant_databases()?;
    let tenant = TenantDatabase::create().await?;
    let there = connect(&tenant.connection_string().replace("prefer", "disable")).await?;
    let durable = fsync(&there).await?;
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "600"]).await?;
    let tenancy: Uuid = client.query_one(r#"SELECT "id" FROM "Tenancy""#, &[]).await?.get(0);
    let fill = fill(&installation, &tenant, &there, tenancy).await?;
    let stream = stream(&installation, &client, &there).await?;
    let copy = copy(&there).await?;
    let upserts = upserts(&there).await?;
    let lag = lag(&installation, &client, &there, tenancy).await?;
    let peak = peak_memory_mib(&worker)?;
    worker.stop().await?;
    sequencer.stop().await?;
    drop((client, there));
    tenant.remove().await?;
    installation.remove().await?;
    let seconds = Seconds { fill, stream, copy, upserts };
    Ok(scenarios(u64::from(rows), &seconds, lag, peak, &durable))
}

/// From the moment that a destination is added to the moment that its users follow their changes.
async fn fill(
    installation: &Installation,
    tenant: &TenantDatabase,
    there: &Client,
    tenancy: Uuid,
) -> anyhow::Result<f64> {
    let (tenancy, string) = (tenancy.to_string(), tenant.connection_string());
    let arguments = ["destination", "add", "--tenant", &tenancy, "--mapping", "users", "-"];
    let added = installation.run_with_input("lockstep", &arguments, &string).await?;
    anyhow::ensure!(added.code == Some(0), "the destination was not added:\n{}{}", added.stdout, added.stderr);
    let began = Instant::now();
    eventually("the tenant's table is filled", DEADLINE, async || {
        let filled =
            "SELECT FROM _stack_sync_metadata WHERE mapping_name = 'users' AND NOT EXISTS (SELECT FROM _lockstep_fill)";
        Ok(matches!(there.query(filled, &[]).await, Ok(rows) if !rows.is_empty()))
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Every user changes while nothing is shipped there; from the moment that it goes on.
async fn stream(installation: &Installation, client: &Client, there: &Client) -> anyhow::Result<f64> {
    installation.succeed("lockstep", &["pause", "workers", "--reason", "changes gather"]).await?;
    client.batch_execute(r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.'"#).await?;
    passes::drained(client).await?;
    let head = passes::head(client).await?.get();
    client.batch_execute(r#"VACUUM ANALYZE "ProjectUser""#).await.context("vacuuming")?;
    installation.succeed("lockstep", &["resume", "workers"]).await?;
    let began = Instant::now();
    eventually("the tenant's table has every change", DEADLINE, async || {
        let cursor = "SELECT last_synced_sequence_id FROM _stack_sync_metadata WHERE mapping_name = 'users'";
        Ok(there.query_one(cursor, &[]).await?.get::<_, i64>(0) >= head)
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// The same rows, as text, into a table like the tenant's without a key.
async fn copy(there: &Client) -> anyhow::Result<f64> {
    there.batch_execute("CREATE TABLE bare AS SELECT * FROM users WHERE FALSE").await?;
    let rows: Vec<Bytes> = there.copy_out("COPY users TO STDOUT").await?.try_collect().await?;
    let began = Instant::now();
    let sink = there.copy_in::<_, Bytes>("COPY bare FROM STDIN").await?;
    pin_mut!(sink);
    for row in rows {
        sink.feed(row).await?;
    }
    sink.finish().await?;
    let seconds = began.elapsed().as_secs_f64();
    there.batch_execute("DROP TABLE bare").await?;
    Ok(seconds)
}

/// Some of the rows, a statement and a transaction each; the seconds that all would take.
async fn upserts(there: &Client) -> anyhow::Result<f64> {
    there.batch_execute("CREATE TABLE one_by_one (LIKE users INCLUDING ALL)").await?;
    let upsert = "INSERT INTO one_by_one SELECT u.* FROM users u WHERE u.id = $1 ON CONFLICT (id) DO UPDATE SET display_name = EXCLUDED.display_name";
    let statement = there.prepare(upsert).await?;
    let ids = there.query("SELECT id FROM users LIMIT $1", &[&UPSERTS]).await?;
    let began = Instant::now();
    for id in &ids {
        there.execute(&statement, &[&id.get::<_, Uuid>(0)]).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let all: i64 = there.query_one("SELECT count(*) FROM users", &[]).await?.get(0);
    there.batch_execute("DROP TABLE one_by_one").await?;
    #[allow(clippy::cast_precision_loss, reason = "some millions")]
    Ok(seconds * all as f64 / ids.len() as f64)
}

/// The median lags there and in ClickHouse, in milliseconds, one change at a time, of both at the same time.
async fn lag(
    installation: &Installation,
    client: &Client,
    there: &Client,
    tenancy: Uuid,
) -> anyhow::Result<(f64, f64)> {
    let mut probe = LagProbe::start(installation).await?;
    let rename = client
        .prepare(r#"UPDATE "ProjectUser" SET "displayName" = $2 WHERE "tenancyId" = $1 AND "projectUserId" = $3"#)
        .await?;
    let look = there.prepare("SELECT FROM users WHERE id = $1 AND display_name = $2").await?;
    let user: Uuid = there.query_one("SELECT id FROM users LIMIT 1", &[]).await?.get(0);
    let mut lags = Vec::with_capacity(LAGS);
    for number in 0..LAGS {
        let name = format!("lag {number}");
        client.execute(&rename, &[&tenancy, &name, &user]).await?;
        let began = Instant::now();
        while there.query(&look, &[&user, &name]).await?.is_empty() {
            anyhow::ensure!(began.elapsed() < DEADLINE, "a change did not arrive");
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        lags.push(began.elapsed());
    }
    probe.until(LAGS / 2).await?;
    let in_clickhouse = probe.stop().await?;
    let millis = |lag: Duration| rounded(lag.as_secs_f64() * 1000.0);
    Ok((millis(percentile(lags, 0.5)), millis(percentile(in_clickhouse.iter().map(|lag| lag.took), 0.5))))
}

fn scenarios(rows: u64, seconds: &Seconds, lag: (f64, f64), peak_memory_mib: u64, durable: &str) -> Vec<Scenario> {
    let scenario = |name: &str, ratio: f64, baseline: &'static str, took: f64, beside: f64| Scenario {
        name: name.to_owned(),
        ratio,
        baseline,
        figures: vec![
            ("rows", json!(rows)),
            ("rows_per_second", json!(per_second(rows, took))),
            ("baseline_rows_per_second", json!(per_second(rows, beside))),
            ("worker_peak_memory_mib", json!(peak_memory_mib)),
            ("postgres_fsync", json!(durable)),
        ],
    };
    const UPSERT: &str = "one upsert statement a row";
    const COPY: &str = "COPY of the same rows into a bare table";
    let Seconds { fill, stream, copy, upserts } = *seconds;
    vec![
        scenario("postgres fill", upserts / fill, UPSERT, fill, upserts),
        scenario("postgres stream", upserts / stream, UPSERT, stream, upserts),
        scenario("postgres fill", copy / fill, COPY, fill, copy),
        scenario("postgres stream", copy / stream, COPY, stream, copy),
        Scenario {
            name: "postgres lag".to_owned(),
            ratio: lag.1 / lag.0,
            baseline: "ClickHouse's lag at the same time",
            figures: vec![("lag_ms_p50", json!(lag.0)), ("clickhouse_lag_ms_p50", json!(lag.1))],
        },
    ]
}
