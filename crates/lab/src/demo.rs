//! The demo: twelve tables of a multi-tenant Postgres arrive in ClickHouse, stay in step while rows are written, changed
//! and deleted, and are proven equal.

mod editor;
mod report;
mod screen;
mod settings;
mod tenants;

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use lockstep_core::shutdown::Shutdown;

use crate::console::Console;
use crate::lag::LagProbe;
use lockstep_testkit::data::{self, Shape};
use lockstep_testkit::installation::{Installation, Program};

use editor::Editor;
use report::Outcome;
use screen::Screen;
use settings::SettingsFile;
use tenants::OwnDatabases;

/// Options of the demo.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask demo", about)]
pub struct DemoArgs {
    /// Tenants to make up
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tenants: u32,
    /// Users of each tenant; other tables in proportion
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows: u32,
    /// Stop when everything was edited, in step and verified; without it, edits go on until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Print the outcome as one JSON object, the last line of standard output
    #[arg(long)]
    json: bool,
}

/// Live edits with `--once`.
const EDITS_ONCE: usize = 600;
/// Measured lags with `--once`.
const LAGS_ONCE: usize = 60;
/// How long being in step may take, edits included.
const IN_STEP_SECONDS: &str = "600";
/// Between two refreshes of the table without `--once`.
const REFRESH: Duration = Duration::from_secs(5);

/// Runs the demo. True when everything was equal at the end.
///
/// # Errors
/// When a service, or one of Lockstep's own programs, fails.
pub async fn run(args: &DemoArgs, shutdown: &Shutdown) -> anyhow::Result<bool> {
    let screen = Screen::new(args.json);
    let installation = Installation::create().await?.with_tenant_databases()?;
    let tenants = OwnDatabases::create().await?;
    let outcome = show(args, &installation, &tenants, &screen, shutdown).await;
    screen.step("cleaning up");
    tenants.remove().await?;
    installation.remove().await?;
    screen.clear();
    let outcome = outcome?;
    screen.outcome(&outcome)?;
    Ok(outcome.equal)
}

async fn show(
    args: &DemoArgs,
    installation: &Installation,
    tenants: &OwnDatabases,
    screen: &Screen,
    shutdown: &Shutdown,
) -> anyhow::Result<Outcome> {
    let preparing = shutdown.run_until_cancelled(prepare(args, installation, tenants, screen)).await;
    let programs = preparing.context("stopped before anything could be compared")??;
    let mut editor = Editor::start(installation, 2).await?;
    let mut probe = LagProbe::start(installation).await?;
    if args.once {
        screen.step(&format!("editing, until at least {EDITS_ONCE} live edits are made and {LAGS_ONCE} lags measured"));
        editor.until(EDITS_ONCE).await?;
        probe.until(LAGS_ONCE).await?;
    } else {
        let console = Console::start(installation, "demo-console", &[])?;
        screen.say(&format!("the console is at {}", console.address().await?));
        let settings = SettingsFile::write(installation)?;
        screen.say(&format!("a row explained: {}", settings.explain(installation).await?));
        screen.step("editing; Ctrl-C stops cleanly");
        keep_going(installation, screen, &mut editor, &mut probe, shutdown).await?;
        settings.remove()?;
        console.stop().await?;
    }
    let edits = editor.stop().await?;
    let lags = probe.stop().await?;
    screen.step("waiting until all edits have arrived");
    in_step(installation).await?;
    screen.step("verifying every column of every row");
    let outcome = report::verified(installation, tenants, &edits, &lags).await?;
    stop(programs).await?;
    Ok(outcome)
}

/// An installation with rows in it, all of them arrived.
async fn prepare(
    args: &DemoArgs,
    installation: &Installation,
    tenants: &OwnDatabases,
    screen: &Screen,
) -> anyhow::Result<Vec<Program>> {
    screen.step("lockstep migrate --standalone");
    installation.succeed("lockstep", &["migrate", "--standalone"]).await?;
    screen
        .step(&format!("seeding {} tenants with {} users each, and all that belongs to them", args.tenants, args.rows));
    let client = installation.database().connect().await?;
    data::seed(&client, Shape { tenants: args.tenants, rows: args.rows, seed: 1 }).await?;
    screen.step("two of the tenants get a Postgres of their own");
    tenants.register(installation, &client).await?;
    screen.step("starting the sequencer and two workers");
    let programs = vec![
        installation.start("lockstep-sequencer", "demo-sequencer")?,
        installation.start("lockstep-worker", "demo-worker-1")?,
        installation.start("lockstep-worker", "demo-worker-2")?,
    ];
    if let Some(logs) = programs.first().and_then(|program| program.log().parent()) {
        screen.say(&format!("logs: {}", logs.display()));
    }
    screen.step("waiting until all rows have arrived");
    in_step(installation).await?;
    Ok(programs)
}

/// Until Ctrl-C: refresh what people see.
async fn keep_going(
    installation: &Installation,
    screen: &Screen,
    editor: &mut Editor,
    probe: &mut LagProbe,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(REFRESH)).await.is_some() {
        editor.check()?;
        let counted = report::counted(installation, &editor.made(), &probe.lags()).await?;
        screen.refresh(&counted);
    }
    Ok(())
}

async fn in_step(installation: &Installation) -> anyhow::Result<()> {
    let waited = installation.succeed("lockstep", &["wait", "--all", "--timeout", IN_STEP_SECONDS]).await;
    waited.context("the destinations did not come into step").map(|_| ())
}

async fn stop(programs: Vec<Program>) -> anyhow::Result<()> {
    for program in programs {
        program.stop().await?;
    }
    Ok(())
}
