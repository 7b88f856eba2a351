//! `bulk`: rows that were there before capture, then the same rows as changes, through one worker, beside ClickHouse
//! pulling the same rows itself.

use std::time::{Duration, Instant};

use anyhow::Context;
use lockstep_core::SequenceId;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::clickhouse::{Databases, raw_table};
use lockstep_mappings::{MappingSet, postgres};
use serde_json::json;
use tokio_postgres::Client;

use super::figures::{Scenario, median, per_second};
use super::process::peak_memory_mib;
use super::{fsync, installation_around, passes};
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::{TestDatabase, eventually};
use lockstep_testkit::installation::Installation;

const TENANTS: u32 = 4;
const DEADLINE: Duration = Duration::from_secs(600);

pub(super) async fn measure(rows: u32, runs: u32) -> anyhow::Result<Vec<Scenario>> {
    let seeded = TestDatabase::standalone().await?;
    let client = seeded.connect().await?;
    let shape = Shape { tenants: TENANTS, rows: rows / TENANTS, seed: 7 };
    seed_tables(&client, shape, &[Table::Users, Table::ContactChannels]).await?;
    client.batch_execute("VACUUM ANALYZE").await.context("vacuuming")?;
    let durable = fsync(&client).await?;
    drop(client);
    let rows = rows / TENANTS * TENANTS;
    let mut measured = Vec::new();
    for _ in 0..runs {
        // A base is shipped once in an installation's life.
        measured.push(run(seeded.copy().await?, u64::from(rows)).await?);
    }
    seeded.remove().await?;
    let of = |figure: fn(&Run) -> f64| median(&measured.iter().map(figure).collect::<Vec<_>>());
    let pull = of(|run| run.pull);
    let scenario = |name: &str, shipped: fn(&Run) -> Shipped| {
        let seconds = median(&measured.iter().map(|run| shipped(run).seconds).collect::<Vec<_>>());
        Scenario {
            name: name.to_owned(),
            ratio: pull / seconds,
            baseline: "ClickHouse pulling the same rows with postgresql()",
            figures: vec![
                ("rows", json!(rows)),
                ("rows_per_second", json!(per_second(u64::from(rows), seconds))),
                ("pull_rows_per_second", json!(per_second(u64::from(rows), pull))),
                ("worker_peak_memory_mib", json!(measured.iter().map(|run| shipped(run).peak_memory_mib).max())),
                ("runs", json!(runs)),
                ("postgres_fsync", json!(durable)),
            ],
        }
    };
    Ok(vec![scenario("bulk base", |run| run.base), scenario("bulk changes", |run| run.changes)])
}

/// One after the other, so that whatever else the machine does meets all three.
struct Run {
    /// Seconds.
    pull: f64,
    base: Shipped,
    changes: Shipped,
}

#[derive(Clone, Copy)]
struct Shipped {
    seconds: f64,
    peak_memory_mib: u64,
}

async fn run(database: TestDatabase, rows: u64) -> anyhow::Result<Run> {
    let (installation, client) = installation_around(database).await?;
    let clickhouse = installation.clickhouse()?;
    let pull = Pull::new(&installation, &client).await?.run(&clickhouse).await?;
    let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
    let base = ship(&installation, &clickhouse, rows, SequenceId::new(0)).await?;
    let before = change_all(&client).await?;
    let changes = ship(&installation, &clickhouse, rows, before).await?;
    sequencer.stop().await?;
    drop(client);
    installation.remove().await?;
    Ok(Run { pull, base, changes })
}

/// Changes every user, tenancy by tenancy, and waits for the numbers; returns the last number before. No worker runs.
async fn change_all(client: &Client) -> anyhow::Result<SequenceId> {
    // Whatever the worker's base made the sequencer do is done before.
    let before = client.query_one("SELECT nextval('lockstep.sequence')", &[]).await?.get(0);
    let sql = r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.' WHERE "tenancyId" = $1"#;
    let statement = client.prepare(sql).await?;
    for row in client.query(r#"SELECT "id" FROM "Tenancy""#, &[]).await? {
        client.execute(&statement, &[&row.get::<_, uuid::Uuid>(0)]).await?;
    }
    passes::drained(client).await?;
    client.batch_execute(r#"VACUUM ANALYZE "ProjectUser""#).await.context("vacuuming")?;
    Ok(SequenceId::new(before))
}

/// Shipped afterwards: the pull has no part in it either.
const OTHER: [&str; 2] = ["mapping", "contact_channels"];

/// From the start of a worker to the last row above `after` in ClickHouse, and its peak memory until then.
async fn ship(
    installation: &Installation,
    clickhouse: &ClickHouse,
    rows: u64,
    after: SequenceId,
) -> anyhow::Result<Shipped> {
    let raw = installation.raw_database();
    let newer = format!("FROM {raw}.users WHERE sync_sequence_id > {}", after.get());
    installation.succeed("lockstep", &["pause", OTHER[0], OTHER[1], "--reason", "users are measured alone"]).await?;
    let began = Instant::now();
    let worker = installation.start("lockstep-worker", "bench-worker")?;
    let cheap = format!("SELECT count() {newer}");
    eventually("all rows are in ClickHouse", DEADLINE, async || {
        let found: Vec<(u64,)> = clickhouse.fetch_rows(&cheap).await?;
        Ok(found.first().is_some_and(|row| row.0 >= rows))
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let found: Vec<(u64,)> = clickhouse.fetch_rows(&format!("SELECT uniqExact(id) {newer}")).await?;
    anyhow::ensure!(found == [(rows,)], "ClickHouse does not hold every row once");
    let peak_memory_mib = peak_memory_mib(&worker)?;
    installation.succeed("lockstep", &["resume", OTHER[0], OTHER[1]]).await?;
    // The rest of the base, and the cursors: else the next worker would ship it.
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "600"]).await?;
    worker.stop().await?;
    Ok(Shipped { seconds, peak_memory_mib })
}

/// ClickHouse reads a view of Postgres that selects what the worker selects, into a table like the worker's.
struct Pull {
    create: Vec<String>,
    table: String,
    insert: String,
}

impl Pull {
    async fn new(installation: &Installation, client: &Client) -> anyhow::Result<Self> {
        let set = MappingSet::built_in();
        let mapping =
            set.iter().find(|mapping| mapping.name.as_str() == "users").context("there is no mapping users")?;
        let databases = Databases {
            raw: format!("{}_pull", installation.raw_database()),
            views: installation.view_database(),
            cluster: None,
            fsync: false,
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
