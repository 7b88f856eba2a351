//! Benchmarks: figures and ratios taken in one run, as medians of several. Never timed tests: nothing fails for being slow.

mod backlog;
mod bulk;
mod console;
mod fan_in;
mod figures;
mod lag;
mod legs;
mod million;
mod pass;
mod passes;
mod plain_loop;
mod postgres;
mod process;
mod source;
mod traces;
mod verify;

use clap::{Parser, ValueEnum};
use tokio_postgres::Client;

use lockstep_testkit::databases::TestDatabase;
use lockstep_testkit::installation::Installation;

/// Options of the benchmarks.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask bench", about)]
pub struct BenchArgs {
    /// One scenario; all of them when none is named
    scenario: Option<Name>,
    /// Print one JSON object a line for each scenario
    #[arg(long)]
    json: bool,
    /// Runs of which the median is taken; `source` makes many short rounds of each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Rows of `bulk` and `pass`, tenants of `million`: a million where nothing is said, which the floors are for; rows of
    /// `verify`: five million
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    rows: Option<u32>,
    /// Tenancies of `verify` (5,000 where nothing is said), of `verify-one` and of `console` (a million)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    tenancies: Option<u32>,
}

/// What can be measured.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    /// What an application pays for capture: rate and WAL of seven kinds of writes, beside the same without capture, and
    /// with a logical replication slot that is read
    Source,
    /// Waiting changes that the sequencer numbers, beside the plain insert of the same lines
    Pass,
    /// A million users rows of four tenants to ClickHouse, as base and as changes, beside ClickHouse pulling them itself
    Bulk,
    /// Changed rows of thousands of tenants, beside a plain loop over tenants
    FanIn,
    /// From commit to visible, of one change in two seconds alone, and at 100 and 1,000 changes a second
    Lag,
    /// 200,000 single-row updates that were committed while everything was stopped, of a thousand tenants and of one
    Backlog,
    /// A million tenants with a user each and three with a million, made while everything runs; takes many minutes
    Million,
    /// A tenant's own Postgres: first fill and stream beside one upsert a row and beside a plain `COPY`, and the lag there
    /// beside ClickHouse's
    Postgres,
    /// Five million rows of 5,000 tenancies compared at each level, equal and with ten differences, beside reladiff (fetched
    /// from `PyPI`) and beside fetching both sides whole
    Verify,
    /// One tenancy of a thousand rows compared among a million tenancies
    VerifyOne,
    /// What the console costs the source, and how soon its pages come, among a million tenancies: in step, and at worst
    Console,
    /// The backlog of a thousand tenants with traces, beside the same without, and with a collector that hangs
    Traces,
}

const ALL: [Name; 12] = [
    Name::Source,
    Name::Pass,
    Name::Bulk,
    Name::FanIn,
    Name::Lag,
    Name::Backlog,
    Name::Million,
    Name::Postgres,
    Name::Verify,
    Name::VerifyOne,
    Name::Console,
    Name::Traces,
];

/// Rows where nothing is said.
const ROWS: u32 = 1_000_000;

/// Runs the scenarios that were asked for.
///
/// # Errors
/// When a service, or one of Lockstep's own programs, fails.
pub async fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let rows = args.rows.unwrap_or(ROWS);
    let names = args.scenario.map_or_else(|| ALL.to_vec(), |name| vec![name]);
    for name in names {
        eprintln!("measuring {name:?} …");
        let scenarios = match name {
            Name::Source => {
                source::measure(args.runs, |scenario| scenario.print(args.json)).await?;
                Vec::new()
            }
            Name::Pass => vec![pass::measure(rows, args.runs).await?],
            Name::Bulk => bulk::measure(rows, args.runs).await?,
            Name::FanIn => vec![
                fan_in::measure(fan_in::Load { tenants: 2_000, rows: 20, loop_tenants: 2_000 }, args.runs).await?,
                fan_in::measure(fan_in::Load { tenants: 20_000, rows: 1, loop_tenants: 2_000 }, args.runs).await?,
            ],
            Name::Lag => lag::measure().await?,
            Name::Postgres => postgres::measure(rows).await?,
            Name::Backlog => {
                vec![backlog::measure(1_000, args.runs).await?, backlog::measure(1, args.runs).await?]
            }
            Name::Million => vec![million::measure(rows).await?],
            Name::Verify => {
                let (rows, tenancies) = (args.rows.unwrap_or(5_000_000), args.tenancies.unwrap_or(5_000));
                verify::measure(rows, tenancies, args.runs).await?
            }
            Name::Traces => vec![traces::measure(args.runs).await?],
            Name::Console => console::measure(args.tenancies.unwrap_or(1_000_000)).await?,
            Name::VerifyOne => verify::measure_one(args.tenancies.unwrap_or(1_000_000), args.runs).await?,
        };
        for scenario in scenarios {
            scenario.print(args.json)?;
        }
    }
    Ok(())
}

/// An installation with an empty source.
async fn installation() -> anyhow::Result<(Installation, Client)> {
    installation_around(TestDatabase::standalone().await?).await
}

/// An installation whose source is this database, with the rows that are in it, and whose Postgres writes as one in
/// production does, where it is ours to say: `cargo xtask up` turns fsync off, which would flatter every figure.
async fn installation_around(database: TestDatabase) -> anyhow::Result<(Installation, Client)> {
    let installation = Installation::around(database)?;
    let client = installation.database().connect().await?;
    let directory: String = client.query_one("SHOW data_directory", &[]).await?.get(0);
    if directory.contains("lockstep") {
        for statement in
            ["ALTER SYSTEM SET fsync = on", "ALTER SYSTEM SET full_page_writes = on", "SELECT pg_reload_conf()"]
        {
            client.batch_execute(statement).await?;
        }
    }
    installation.succeed("lockstep", &["migrate"]).await?;
    Ok((installation, client))
}

/// Whether Postgres waits for the disk, for the record.
async fn fsync(client: &Client) -> anyhow::Result<String> {
    Ok(client.query_one("SHOW fsync", &[]).await?.get(0))
}
