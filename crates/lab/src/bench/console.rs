//! `console`: what the console costs the source, and how soon its pages come, among very many tenancies: in step, and at worst.

mod requests;
mod tenancies;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tokio_postgres::Client;

use self::requests::{Changes, get};
use super::figures::{Scenario, median, percentile, rounded};
use super::fsync;
use crate::console::Console;
use lockstep_testkit::databases::{PrivatePostgres, SOURCE_SCHEMA, TestDatabase};
use lockstep_testkit::installation::Installation;

/// As much memory as a small server gives it; statements are counted with the time that they were planned.
const SERVER: [&str; 4] = [
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track_planning=on",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
];
/// A role of the console's own, so that its statements can be told from all others.
const ROLE: &str = "lockstep_console";
/// Of each of its statements: how often it ran, and for how many milliseconds, planning included.
const SPENT: &str = "SELECT queryid, calls, total_exec_time + total_plan_time FROM pg_stat_statements
WHERE userid = 'lockstep_console'::regrole AND queryid IS NOT NULL";

/// What a sample may cost the source, and how soon the overview has to come.
const FLOOR_SOURCE_MS: f64 = 50.0;
const FLOOR_OVERVIEW_MS: f64 = 100.0;
/// They come every 2 seconds.
const SAMPLES: usize = 20;
/// How often each page is asked for.
const REQUESTS: usize = 100;
/// The overview is asked for again and again from the moment on that the console listens.
const FIRST: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(120);

pub(super) async fn measure(count: u32) -> anyhow::Result<Vec<Scenario>> {
    let postgres = PrivatePostgres::start_with(&SERVER).await?;
    let database = TestDatabase::create_on(postgres.url()).await?;
    let client = database.connect().await?;
    client.batch_execute(SOURCE_SCHEMA).await.context("creating the source schema")?;
    client.batch_execute(&format!("CREATE EXTENSION pg_stat_statements; CREATE ROLE {ROLE} SUPERUSER LOGIN")).await?;
    tenancies::make(&client, count).await?;
    let installation = Installation::around(database)?;
    installation.succeed("lockstep", &["migrate"]).await?;
    let programs = [
        installation.start("lockstep-sequencer", "bench-sequencer")?,
        installation.start("lockstep-worker", "bench-worker")?,
    ];
    installation.succeed("lockstep", &["wait", "--all", "--timeout", "3000"]).await?;
    let mut scenarios = vec![scenario(&installation, &client, count, "in step").await?];
    for program in programs {
        program.stop().await?;
    }
    tenancies::leave_all_waiting(&client).await?;
    scenarios.push(scenario(&installation, &client, count, "at worst").await?);
    drop(client);
    installation.remove().await?;
    drop(postgres);
    Ok(scenarios)
}

async fn scenario(installation: &Installation, client: &Client, count: u32, state: &str) -> anyhow::Result<Scenario> {
    client.batch_execute("SELECT pg_stat_statements_reset()").await?;
    let source = installation.database().url().replacen("postgres@", &format!("{ROLE}@"), 1);
    let console = Console::start(
        installation,
        &format!("bench-console-{}", state.replace(' ', "-")),
        &[("LOCKSTEP_SOURCE_URL", &source)],
    )?;
    let address = console.address().await?;
    let host = address.strip_prefix("http://").unwrap_or(&address).trim_end_matches('/').to_owned();
    let mut first = Vec::new();
    let began = Instant::now();
    while began.elapsed() < FIRST {
        first.push(get(&host, "/").await?);
    }
    let samples = samples(client, &host).await?;
    let mut figures = vec![
        ("tenancies", json!(count)),
        ("sample_source_ms", told(&samples.source_ms)),
        ("sample_ms", told(&samples.took_ms)),
        ("floor_sample_source_ms", json!(FLOOR_SOURCE_MS)),
        ("overview_first_10_s_ms", told(&first)),
        ("floor_overview_ms", json!(FLOOR_OVERVIEW_MS)),
    ];
    let mut overview_ms = f64::NAN;
    for (name, page) in tenancies::pages(client, count).await? {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            times.push(get(&host, &page).await?);
        }
        if page == "/" {
            overview_ms = median(&times);
        }
        figures.push((name, told(&times)));
    }
    figures.push(("dearest_statements", json!(dearest(client).await?)));
    figures.push(("postgres_fsync", json!(fsync(client).await?)));
    console.stop().await?;
    Ok(Scenario {
        name: format!("console, {state}"),
        ratio: (FLOOR_SOURCE_MS / median(&samples.source_ms)).min(FLOOR_OVERVIEW_MS / overview_ms),
        baseline: "50 ms of the source a sample and 100 ms an overview, the worse of both",
        figures,
    })
}

/// What samples took, in milliseconds.
struct Samples {
    /// Of the source, planning included.
    source_ms: Vec<f64>,
    /// From the first question to the last answer, by all services.
    took_ms: Vec<f64>,
}

/// Watches samples come, as a browser does.
async fn samples(client: &Client, host: &str) -> anyhow::Result<Samples> {
    let mut changes = Changes::open(host, "overview").await?;
    let (mut spent, mut took_ms) = (Vec::new(), Vec::new());
    while spent.len() <= SAMPLES {
        took_ms.push(tokio::time::timeout(DEADLINE, changes.sample()).await.context("no sample came")??);
        spent.push(self::spent(client).await?);
    }
    // The doctor asks meanwhile, too: what is not asked with every sample is his.
    let between = || spent.iter().zip(&spent[1..]);
    let calls = |of: &Spent, id: i64| of.get(&id).map_or(0, |(calls, _)| *calls);
    let is_samples = |id: i64| between().all(|(before, after)| calls(after, id) > calls(before, id));
    let of_samples: Vec<i64> = spent[0].keys().copied().filter(|id| is_samples(*id)).collect();
    let ms = |of: &Spent| of_samples.iter().filter_map(|id| Some(of.get(id)?.1)).sum::<f64>();
    let source_ms = between().map(|(before, after)| ms(after) - ms(before)).collect();
    Ok(Samples { source_ms, took_ms: took_ms.split_off(1) })
}

/// By statement: how often it ran, and milliseconds.
type Spent = BTreeMap<i64, (i64, f64)>;

async fn spent(client: &Client) -> anyhow::Result<Spent> {
    let rows = client.query(SPENT, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

fn told(values_ms: &[f64]) -> Value {
    json!({ "median": rounded(median(values_ms)), "p99": rounded(percentile(values_ms, 99)), "most": rounded(percentile(values_ms, 100)), "of": values_ms.len() })
}

/// The three statements of the console that took longest each time, in milliseconds.
async fn dearest(client: &Client) -> anyhow::Result<Vec<Value>> {
    const DEAREST: &str = "SELECT round((mean_exec_time + mean_plan_time)::numeric, 2)::float8, calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 100)
FROM pg_stat_statements WHERE userid = 'lockstep_console'::regrole AND calls >= 20 ORDER BY 1 DESC LIMIT 3";
    let rows = client.query(DEAREST, &[]).await?;
    let one = |row: &tokio_postgres::Row| json!({ "ms": row.get::<_, f64>(0), "calls": row.get::<_, i64>(1), "statement": row.get::<_, String>(2) });
    Ok(rows.iter().map(one).collect())
}
