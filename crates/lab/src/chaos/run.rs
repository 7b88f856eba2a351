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
use crate::tenants::with_databases;
use conductor::Conductor;
use fault::TENANTS;
use fleet::Fleet;
use lockstep_oracle as oracle;
use lockstep_testkit::data::{self, Shape};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::tenant_database::RegisteredDatabase;
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

/// Twelve tenants, of which the first gets a fifth of all edits, and two have a database of their own.
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
    let installation = Installation::create().await?.with_tenant_databases()?;
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
    let tenants = with_databases(installation, &client, TENANTS).await?;
    drop(client);
    let services = Services::from_environment();
    if let Some(why) = services.why_not_all() {
        progress.say(&why);
    }
    let fleet = Fleet::start(installation).await?;
    let began = Instant::now();
    let conductor = Conductor::new(fleet, services, &tenants, progress);
    let (worked, (mut fleet, mut events)) = tokio::try_join!(
        workload::run(installation.database().url(), &plan.operations, began.into()),
        conductor.run(&plan.faults, began.into()),
    )?;
    events.worked(worked);
    progress.doing("healed: waiting until everything is in step");
    events.converged = converge(installation, &tenants).await?;
    progress.doing("comparing every column of every row");
    judge(installation, &tenants, &mut events).await?;
    fleet.tend()?;
    events.ended = fleet.end().await?;
    for tenant in tenants {
        tenant.database.remove().await?;
    }
    Ok(events)
}

/// Waits for everything, and for each tenant's database by its name: nobody waits for one that backs off otherwise.
async fn converge(installation: &Installation, tenants: &[RegisteredDatabase]) -> anyhow::Result<Converged> {
    let healed = Instant::now();
    let timeout = IN_STEP.as_secs().to_string();
    let all = vec!["--all"];
    let each = tenants.iter().map(|tenant| vec!["--destination", tenant.id.as_str()]);
    for what in [all].into_iter().chain(each) {
        let waited = installation.run("lockstep", &[&["wait", "--timeout", &timeout], &what[..]].concat()).await?;
        if waited.code != Some(0) {
            return Ok(Converged::Not(waited.stderr));
        }
    }
    Ok(Converged::After(healed.elapsed()))
}

/// What the oracle finds, in ClickHouse and at the tenants.
async fn judge(
    installation: &Installation,
    tenants: &[RegisteredDatabase],
    events: &mut outcome::Events,
) -> anyhow::Result<()> {
    let client = installation.database().connect().await?;
    let mut reports = vec![oracle::compare(&client, &installation.endpoint()).await?];
    for tenant in tenants {
        reports.push(tenant.judged(&client).await?);
    }
    let different: Vec<_> = reports.iter().filter(|report| !report.equal()).map(ToString::to_string).collect();
    events.report = (!different.is_empty()).then(|| different.join("\n"));
    events.rows = reports.iter().flat_map(|report| &report.mappings).map(|mapping| mapping.source_rows).sum();
    Ok(())
}
