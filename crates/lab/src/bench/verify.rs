//! `verify`: comparing millions of rows at each level, equal and with ten differences, beside reladiff on the same tables and
//! beside fetching both sides whole. `verify-one`: comparing one tenancy among very many.

mod reladiff;
mod table;
mod whole;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::Client;

use self::reladiff::Reladiff;
use self::table::{Filled, Spread};
use self::whole::Whole;
use super::figures::{Scenario, per_second, rounded};
use super::process::{Ran, parent, run, tree_cpu_seconds, with_argument};

const LEVELS: [&str; 3] = ["versions", "content", "rows"];
/// Differences that are planted.
const DEFECTS: u64 = 10;
/// Rows of the one tenancy of `verify-one`.
const ONE_ROWS: u64 = 1_000;
const ONE_FLOOR_SECONDS: f64 = 0.1;

/// One comparison.
struct Compared {
    ran: Ran,
    found: u64,
    postgres_cpu_seconds: Option<f64>,
    clickhouse_cpu_seconds: Option<f64>,
}

/// The two servers, where they run on this machine.
struct Servers {
    postgres: Option<u32>,
    clickhouse: Option<u32>,
}

impl Servers {
    async fn find(filled: &Filled) -> anyhow::Result<Self> {
        let backend: i32 = filled.client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let postgres = u32::try_from(backend).ok().and_then(|backend| parent(backend).ok());
        let port = filled.installation.services().clickhouse_url.rsplit(':').next().unwrap_or_default().to_owned();
        let clickhouse = with_argument(&format!("--http_port={}", port.trim_end_matches('/')));
        Ok(Self { postgres, clickhouse })
    }

    fn cpu_seconds(&self) -> [Option<f64>; 2] {
        [self.postgres, self.clickhouse].map(|id| tree_cpu_seconds(id?).ok())
    }

    /// What both servers use meanwhile.
    async fn watch(&self, compare: impl Future<Output = anyhow::Result<(Ran, u64)>>) -> anyhow::Result<Compared> {
        let before = self.cpu_seconds();
        let (ran, found) = compare.await?;
        let after = self.cpu_seconds();
        let used = |index: usize| Some(after[index]? - before[index]?);
        Ok(Compared { ran, found, postgres_cpu_seconds: used(0), clickhouse_cpu_seconds: used(1) })
    }
}

/// Runs the verifier; returns what that took, and how many keys differ.
async fn verify(filled: &Filled, arguments: &[&str]) -> anyhow::Result<(Ran, u64)> {
    let mut command = Command::new(filled.installation.program("lockstep-verifier"));
    command.args(["--mapping", "bench_rows", "--skip-destinations", "--output", "json"]).args(arguments);
    command.envs(filled.installation.environment());
    let ran = run(command).await?;
    anyhow::ensure!(matches!(ran.status.code(), Some(0 | 1)), "the verifier did not finish: {}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).context("the verifier's JSON")?;
    let count = |what: &str| report["mappings"][0][what].as_u64().unwrap_or(0);
    let found = count("missing") + count("unexpected") + count("different");
    Ok((ran, found))
}

/// All comparisons of the same rows.
struct Comparisons {
    levels: Vec<Compared>,
    reladiff: Compared,
    whole: Whole,
}

async fn compare(filled: &Filled, reladiff: &Reladiff, runs: u32) -> anyhow::Result<Comparisons> {
    let servers = Servers::find(filled).await?;
    let (mut levels, mut others, mut whole) = (LEVELS.map(|_| Vec::new()), Vec::new(), Vec::new());
    for _ in 0..runs {
        for (level, compared) in LEVELS.iter().zip(&mut levels) {
            compared.push(servers.watch(verify(filled, &["--level", level])).await?);
        }
        others.push(servers.watch(reladiff.compare()).await?);
        whole.push(whole::fetch(filled).await?);
    }
    let middle = |compared: Vec<Compared>| middle(compared, |one| one.ran.seconds).context("no run");
    Ok(Comparisons {
        levels: levels.into_iter().map(middle).collect::<anyhow::Result<_>>()?,
        reladiff: middle(others)?,
        whole: self::middle(whole, |one| one.one_after_the_other).context("no run")?,
    })
}

/// The one with the median figure.
fn middle<T>(mut all: Vec<T>, figure: fn(&T) -> f64) -> Option<T> {
    all.sort_by(|one, other| figure(one).total_cmp(&figure(other)));
    let index = all.len() / 2;
    all.into_iter().nth(index)
}

pub(super) async fn measure(rows: u32, tenancies: u32, runs: u32) -> anyhow::Result<Vec<Scenario>> {
    let spread = Spread::Evenly { rows: u64::from(rows), tenancies };
    let filled = Filled::create(spread).await?;
    filled.copy_by_key().await?;
    let durable = super::fsync(&filled.client).await?;
    let reladiff = Reladiff::install(&filled).await?;
    let equal = compare(&filled, &reladiff, runs).await?;
    filled.plant(spread.rows()).await?;
    let different = compare(&filled, &reladiff, runs).await?;
    filled.remove().await?;
    let mut all = scenarios(&equal, spread.rows(), 0);
    all.extend(scenarios(&different, spread.rows(), DEFECTS));
    for scenario in &mut all {
        scenario.figures.extend([
            ("tenancies", json!(tenancies)),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ]);
    }
    Ok(all)
}

fn scenarios(compared: &Comparisons, rows: u64, planted: u64) -> Vec<Scenario> {
    let what = if planted > 0 { format!("{planted} defects") } else { "equal".to_owned() };
    let content = compared.levels[1].ran.seconds;
    let scenario = |name: &str, of: &Compared, baseline: &'static str, seconds: f64, floor: Option<f64>| {
        let mut figures = figures(of, rows, planted);
        figures.push(("baseline_seconds", json!(rounded(seconds))));
        figures.push(("floor_ratio", json!(floor)));
        Scenario { name: format!("verify {name}, {what}"), ratio: seconds / of.ran.seconds, baseline, figures }
    };
    let [versions, middle, all] = [0, 1, 2].map(|index| &compared.levels[index]);
    let other = compared.reladiff.ran.seconds;
    let Whole { one_after_the_other, at_the_same_time } = compared.whole;
    vec![
        scenario("versions", versions, "level content", content, Some(10.0)),
        scenario("content", middle, "reladiff by an integer key", other, Some(2.0)),
        scenario("content", middle, "both fetched whole, one after the other", one_after_the_other, Some(2.0)),
        scenario("content", middle, "both fetched whole, at the same time", at_the_same_time, None),
        scenario("rows", all, "level content", content, None),
        scenario(
            "by reladiff",
            &compared.reladiff,
            "both fetched whole, one after the other",
            one_after_the_other,
            None,
        ),
    ]
}

fn figures(of: &Compared, rows: u64, planted: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("rows", json!(rows)),
        ("seconds", json!(rounded(of.ran.seconds))),
        ("rows_per_second", json!(per_second(rows, of.ran.seconds))),
        ("differences_found", json!(of.found)),
        ("differences_planted", json!(planted)),
        ("peak_memory_mib", json!(rounded(of.ran.peak_memory_mib))),
        ("cpu_seconds", json!(rounded(of.ran.cpu_seconds))),
        ("postgres_cpu_seconds", json!(of.postgres_cpu_seconds.map(rounded))),
        ("clickhouse_cpu_seconds", json!(of.clickhouse_cpu_seconds.map(rounded))),
    ]
}

pub(super) async fn measure_one(tenancies: u32, runs: u32) -> anyhow::Result<Vec<Scenario>> {
    let spread = Spread::OneHas { rows: ONE_ROWS, tenancies };
    let filled = Filled::create(spread).await?;
    let servers = Servers::find(&filled).await?;
    let tenancy = largest(&filled.client).await?;
    let mut all = Vec::new();
    for level in LEVELS {
        let mut compared = Vec::new();
        for _ in 0..runs {
            compared.push(servers.watch(verify(&filled, &["--level", level, "--tenant", &tenancy])).await?);
        }
        let compared = middle(compared, |one| one.ran.seconds).context("no run")?;
        let mut figures = figures(&compared, ONE_ROWS, 0);
        figures.extend([
            ("milliseconds", json!(rounded(compared.ran.seconds * 1000.0))),
            ("tenancies", json!(tenancies)),
            ("runs", json!(runs)),
        ]);
        all.push(Scenario {
            name: format!("verify one of {tenancies}, {level}"),
            ratio: ONE_FLOOR_SECONDS / compared.ran.seconds,
            baseline: "100 ms",
            figures,
        });
    }
    filled.remove().await?;
    Ok(all)
}

/// The tenancy with the most rows.
async fn largest(client: &Client) -> anyhow::Result<String> {
    let sql = r#"SELECT "tenancyId"::text FROM bench_rows GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"#;
    Ok(client.query_one(sql, &[]).await?.get(0))
}
