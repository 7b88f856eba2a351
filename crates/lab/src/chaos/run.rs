//! Chaos: real programs behind proxies of ours, a random workload on the source, random faults. Then everything is healed,
//! and the oracle compares.
//!
//! Workload and faults are drawn from the seed before anything begins ([`plan`]): the same operations in the same order,
//! planned for the same moments. What two runs do not share is how the machine schedules them.

mod conductor;
mod fault;
mod fleet;
mod operation;
mod outcome;
mod plan;
mod services;
mod workload;

use std::time::{Duration, Instant};

use clap::Args;
use rand::Rng;

use crate::progress::Progress;
use conductor::Conductor;
use fleet::Fleet;
use lockstep_oracle as oracle;
use lockstep_testkit::data::{self, Shape};
use lockstep_testkit::installation::Installation;
use outcome::{Converged, Outcome};
use plan::Plan;
use services::Services;

/// Options of chaos.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Draws workload and faults; without it, one is drawn and printed
    #[arg(long)]
    seed: Option<u64>,
    /// How long rows are edited and faults happen
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
    /// Leave databases and queues as they are when something differs
    #[arg(long)]
    keep: bool,
}

/// Twelve tenants, of which the first gets a fifth of all edits.
const SHAPE: Shape = Shape { tenants: 12, rows: 30, seed: 3 };
/// For everything to be in step when all is healed.
const IN_STEP: Duration = Duration::from_secs(300);

/// Runs one seed and prints what came of it. True when everything was equal at the end.
///
/// # Errors
/// When something fails that is neither the workload's nor a fault's.
pub async fn run(args: &RunArgs) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let plan = Plan::draw(seed, args.seconds);
    let progress = Progress::new(Some(u64::from(args.seconds)));
    progress.say(&format!(
        "seed {seed}, {} seconds: {} operations, {} faults, schedule {:016x}",
        args.seconds,
        plan.operations.len(),
        plan.faults.len(),
        plan.fingerprint()
    ));
    let installation = Installation::create().await?;
    let outcome = play(&installation, &plan, &progress).await;
    progress.clear();
    let outcome = match outcome {
        Ok(events) => Outcome { seed, seconds: args.seconds, schedule: plan.fingerprint(), events },
        Err(error) => {
            eprintln!("{}", outcome::reproduce(seed, args.seconds));
            return Err(error);
        }
    };
    outcome.print(args.json)?;
    if !outcome.is_equal() && args.keep {
        eprintln!("left as it is: {}, {}", installation.database().name(), installation.view_database());
        // Dropped, it would remove its database.
        std::mem::forget(installation);
    } else {
        installation.remove().await?;
    }
    Ok(outcome.is_equal())
}

async fn play(installation: &Installation, plan: &Plan, progress: &Progress) -> anyhow::Result<outcome::Events> {
    progress.doing("seeding");
    installation.succeed("lockstep", &["migrate", "--standalone"]).await?;
    let client = installation.database().connect().await?;
    data::seed(&client, SHAPE).await?;
    drop(client);
    let services = Services::from_environment();
    if let Some(why) = services.why_not_all() {
        progress.say(&why);
    }
    let fleet = Fleet::start(installation).await?;
    let began = Instant::now();
    let conductor = Conductor::new(fleet, services, progress);
    let (worked, (mut fleet, mut events)) = tokio::try_join!(
        workload::run(installation.database().url(), &plan.operations, began.into()),
        conductor.run(&plan.faults, began.into()),
    )?;
    events.worked(worked);
    progress.doing("healed: waiting until everything is in step");
    let healed = Instant::now();
    let timeout = IN_STEP.as_secs().to_string();
    let waited = installation.run("lockstep", &["wait", "--all", "--timeout", &timeout]).await?;
    events.converged = match waited.code {
        Some(0) => Converged::After(healed.elapsed()),
        _ => Converged::Not(waited.stderr),
    };
    progress.doing("comparing every column of every row");
    let client = installation.database().connect().await?;
    let report = oracle::compare(&client, &installation.endpoint()).await?;
    events.report = (!report.equal()).then(|| report.to_string());
    events.rows = report.mappings.iter().map(|mapping| mapping.source_rows).sum();
    fleet.tend()?;
    events.ended = fleet.end().await?;
    Ok(events)
}
