//! `bulk`: rows that are stamped and not shipped, through the worker, beside ClickHouse pulling the same rows itself.

use std::time::{Duration, Instant};

use anyhow::Context;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::{Databases, raw_table};
use lockstep_mappings::{MappingSet, postgres};
use serde_json::json;
use tokio_postgres::Client;

use super::figures::{Scenario, median, per_second};
use super::process::peak_memory_mib;
use super::{fsync, installation};
use crate::data::{Shape, Table, seed_tables};
use crate::databases::eventually;
use crate::installation::Installation;

const TENANTS: u32 = 4;
const DEADLINE: Duration = Duration::from_secs(600);

pub(super) async fn measure(rows: u32, runs: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = installation().await?;
    let shape = Shape { tenants: TENANTS, rows: rows / TENANTS, seed: 7 };
    seed_tables(&client, shape, &[Table::Users, Table::ContactChannels]).await?;
    stamp_all(&installation, &client).await?;
    let clickhouse = installation.clickhouse()?;
    let pull = Pull::new(&installation, &client).await?;
    let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    // One after the other in every run, so that whatever else the machine does meets both.
    for _ in 0..runs {
        theirs.push(pull.run(&clickhouse).await?);
        let (seconds, peak) = ship(&installation, &clickhouse, u64::from(rows)).await?;
        ours.push(seconds);
        memory.push(peak);
    }
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    let (ours, theirs) = (median(&ours), median(&theirs));
    Ok(Scenario {
        name: "bulk".to_owned(),
        ratio: theirs / ours,
        baseline: "ClickHouse pulling the same rows with postgresql()",
        figures: vec![
            ("rows", json!(rows)),
            ("rows_per_second", json!(per_second(u64::from(rows), ours))),
            ("pull_rows_per_second", json!(per_second(u64::from(rows), theirs))),
            ("worker_peak_memory_mib", json!(memory.iter().max())),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}

async fn stamp_all(installation: &Installation, client: &Client) -> anyhow::Result<()> {
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    eventually("all rows are stamped", DEADLINE, async || {
        let sql = r#"SELECT EXISTS (SELECT 1 FROM "ProjectUser" WHERE "shouldUpdateSequenceId")
          OR EXISTS (SELECT 1 FROM "ContactChannel" WHERE "shouldUpdateSequenceId") OR EXISTS (SELECT 1 FROM lockstep.touch)"#;
        Ok(!client.query_one(sql, &[]).await?.get::<_, bool>(0))
    })
    .await?;
    sequencer.stop().await?;
    client.batch_execute(r#"VACUUM ANALYZE "ProjectUser""#).await.context("vacuuming")
}

/// From the start of a worker to the last row in ClickHouse; seconds, and its peak memory.
async fn ship(installation: &Installation, clickhouse: &ClickHouse, rows: u64) -> anyhow::Result<(f64, u64)> {
    let raw = installation.raw_database();
    for table in ["users", "contact_channels", "_stack_sync_metadata"] {
        clickhouse.execute(&format!("TRUNCATE TABLE {raw}.{table}")).await?;
    }
    let count = format!("SELECT uniqExact(id) FROM {raw}.users");
    let cheap = format!("SELECT count() FROM {raw}.users");
    let began = Instant::now();
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    eventually("all rows are in ClickHouse", DEADLINE, async || {
        let found: Vec<(u64,)> = clickhouse.fetch_rows(&cheap).await?;
        Ok(found.first().is_some_and(|row| row.0 >= rows))
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let found: Vec<(u64,)> = clickhouse.fetch_rows(&count).await?;
    anyhow::ensure!(found == [(rows,)], "ClickHouse does not hold every row once");
    let peak = peak_memory_mib(&worker)?;
    worker.stop().await?;
    Ok((seconds, peak))
}

/// ClickHouse reads a view of Postgres that selects what the worker selects, into a table like the worker's.
struct Pull {
    create: Vec<String>,
    table: String,
    insert: String,
}

impl Pull {
    async fn new(installation: &Installation, client: &Client) -> anyhow::Result<Self> {
        let set = MappingSet::load(None)?;
        let mapping =
            set.iter().find(|mapping| mapping.name.as_str() == "users").context("there is no mapping users")?;
        let databases = Databases {
            raw: format!("{}_pull", installation.raw_database()),
            views: installation.view_database(),
            cluster: None,
        };
        let select = postgres::fetch::plain_select(mapping);
        client.batch_execute(&format!("CREATE VIEW lockstep.bench_users AS {select}")).await?;
        let definition = raw_table(mapping, &databases);
        let columns: Vec<_> = definition
            .columns
            .iter()
            .filter(|(_, _, default)| default.is_empty())
            .map(|(name, ..)| name.as_str())
            .collect();
        let config: tokio_postgres::Config = installation.database().url().parse()?;
        let (host, port) = match (config.get_hosts().first(), config.get_ports().first()) {
            (Some(tokio_postgres::config::Host::Tcp(host)), Some(port)) => (host.clone(), *port),
            _ => anyhow::bail!("the source is not reached over TCP"),
        };
        let password = String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned();
        let table = format!("{}.users", databases.raw);
        let columns = columns.join(", ");
        let insert = format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM postgresql('{host}:{port}', '{database}', 'bench_users', '{user}', '{password}', 'lockstep')",
            database = installation.database().name(),
            user = config.get_user().unwrap_or("postgres"),
        );
        let mut create = vec![format!("CREATE DATABASE IF NOT EXISTS {}", databases.raw)];
        create.extend(definition.create());
        Ok(Self { create, table, insert })
    }

    async fn run(&self, clickhouse: &ClickHouse) -> anyhow::Result<f64> {
        let timeouts = lockstep_destinations::clickhouse::Timeouts { statement: DEADLINE, ..clickhouse.timeouts() };
        let clickhouse = clickhouse.clone().with_timeouts(timeouts);
        for statement in &self.create {
            clickhouse.execute(statement).await?;
        }
        let began = Instant::now();
        clickhouse.execute(&self.insert).await?;
        let seconds = began.elapsed().as_secs_f64();
        let database = self.table.split('.').next().unwrap_or_default();
        clickhouse.execute(&format!("DROP DATABASE {database} SYNC")).await?;
        Ok(seconds)
    }
}
