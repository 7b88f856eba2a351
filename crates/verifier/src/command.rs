//! The command line of `lockstep-verifier`: without a subcommand it verifies.

mod compare;
mod self_test;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockstep_core::output::{OutputArgs, Written, chosen, fail, fail_at, unwritten, write_out};
use lockstep_core::settings::{Needs, Settings, SettingsArgs};
use lockstep_core::telemetry::{Kind, Span, Telemetry};
use lockstep_core::{TenancyId, exit, shutdown, telemetry};

use self::compare::CompareArguments;
use self::self_test::SelfTestArguments;
use crate::{
    Budget, DestinationChoice, Level, Report, Shown, VerifyError, VerifyOptions, plan_repair, record, repair, verify,
};

/// Compares Postgres with ClickHouse and with tenants' own destinations. Writes down what it has proven, and nothing else, unless
/// it is asked to mend what differs.
///
/// Exit code: 0 equal, 1 different, 2 only in flight, 3 could not finish, 78 wrong settings. A destination that cannot be
/// compared (paused, not reached, being filled, stopped) is named, and the others are compared: 3.
#[derive(Parser, Debug)]
#[command(name = "lockstep-verifier", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    verify: VerifyArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Compare(CompareArguments),
    SelfTest(SelfTestArguments),
}

#[derive(Args, Debug)]
struct VerifyArguments {
    /// Compare only where this tenancy lives or lived; can be given more than once
    #[arg(long = "tenant", value_name = "UUID")]
    tenants: Vec<TenancyId>,
    /// Compare only this mapping; can be given more than once
    #[arg(long = "mapping", value_name = "NAME")]
    mappings: Vec<String>,
    /// Compare only this destination: clickhouse, or the id of a tenant's own; can be given more than once
    #[arg(long = "destination", value_name = "clickhouse|UUID")]
    destinations: Vec<DestinationChoice>,
    /// Compare no tenant's own destination
    #[arg(long, conflicts_with = "destinations")]
    skip_destinations: bool,
    /// Leave out this destination; can be given more than once
    #[arg(long = "skip-destination", value_name = "clickhouse|UUID")]
    without_destinations: Vec<DestinationChoice>,
    /// Leave out this mapping; can be given more than once
    #[arg(long = "skip-mapping", value_name = "NAME")]
    without_mappings: Vec<String>,
    /// Begin with the mappings, and the tenants' destinations, that changed last (of the last 100,000 changes)
    #[arg(long, conflicts_with = "budget")]
    recent_first: bool,
    /// Compare one mapping after the other, and nothing more once one differs; says what was left out
    #[arg(long, conflicts_with = "budget")]
    stop_at_first: bool,
    /// How closely to look: counts and numbers, a hash of every row, or every column of every row
    #[arg(long, value_enum, default_value_t = Level::default())]
    level: Level,
    /// How long comparing one tenant's own destination may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    destination_timeout: u64,
    /// How long to wait for what is in flight, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=86_400))]
    settle: u64,
    /// Begin nothing after so many seconds: what was proven longest ago is looked at first, so that run after run covers everything
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["tenants", "no_record"], requires = "cover_within")]
    budget: Option<u64>,
    /// With --budget: what is left out counts as unfinished where it was not proven within so many seconds
    #[arg(long, value_name = "SECONDS", requires = "budget")]
    cover_within: Option<u64>,
    /// Do not write down what is proven and what was found (`lockstep verified` shows it)
    #[arg(long)]
    no_record: bool,
    /// Mend what differs: `plan` says what would be numbered and shipped anew, `apply` has it done and compares again
    #[arg(long, value_enum, value_name = "plan|apply")]
    repair: Option<Repair>,
    /// Mend nothing where more rows than this differ
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_repairs: u64,
    /// How long to wait until what is mended has arrived, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=86_400))]
    repair_timeout: u64,
    /// Show keys that are texts, which may say something about people, instead of their hashes
    #[arg(long)]
    show_keys: bool,
    /// How many findings to show for each mapping
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
}

/// Runs it and prints the result on standard output.
pub async fn run(arguments: Arguments) -> ExitCode {
    arguments.output.apply();
    match arguments.command {
        Some(Command::Compare(compare)) => compare::run(&arguments.settings, compare).await,
        Some(Command::SelfTest(test)) => self_test::run(&arguments.settings, test).await,
        None => verified(&arguments.settings, arguments.verify).await,
    }
}

/// The settings of a run, with its log begun; or the exit code where they are wrong.
fn prepared(settings: &SettingsArgs, needs: Needs) -> Result<(Settings, Telemetry), ExitCode> {
    match settings.clone().resolve(needs) {
        Ok(settings) => {
            let telemetry = telemetry::start("lockstep-verifier", &settings);
            Ok((settings, telemetry))
        }
        Err(errors) => {
            fail(&errors.to_string());
            Err(ExitCode::from(exit::CONFIGURATION))
        }
    }
}

async fn verified(settings: &SettingsArgs, arguments: VerifyArguments) -> ExitCode {
    let destinations =
        if arguments.skip_destinations { vec![DestinationChoice::ClickHouse] } else { arguments.destinations };
    let skip_destinations = arguments.without_destinations;
    let clickhouse = (destinations.is_empty() || destinations.contains(&DestinationChoice::ClickHouse))
        && !skip_destinations.contains(&DestinationChoice::ClickHouse);
    let (settings, telemetry) = match prepared(settings, Needs { source: true, amqp: false, clickhouse }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let options = VerifyOptions {
        tenants: arguments.tenants,
        mappings: arguments.mappings,
        skip_mappings: arguments.without_mappings,
        destinations,
        skip_destinations,
        recent_first: arguments.recent_first,
        stop_at_first: arguments.stop_at_first,
        level: arguments.level,
        budget: arguments.budget.zip(arguments.cover_within).map(|(time, cover_within)| Budget {
            time: Duration::from_secs(time),
            cover_within: Duration::from_secs(cover_within),
        }),
        destination_limit: Duration::from_secs(arguments.destination_timeout),
        settle: Duration::from_secs(arguments.settle),
        show: arguments.show,
        shown: if arguments.show_keys { Shown::Keys } else { Shown::Ids },
        ..VerifyOptions::default()
    };
    let shown = (!chosen().is_quiet()).then(|| options.progress.show());
    let work = Work {
        settings: &settings,
        options: &options,
        repair: arguments.repair,
        max_repairs: arguments.max_repairs,
        repair_limit: Duration::from_secs(arguments.repair_timeout),
        is_recorded: !arguments.no_record,
    };
    let span = Span::begin(Kind::Internal, || "verifier.run".to_owned());
    let result = span.around(until_stopped(work.run())).await;
    match &result {
        Ok(report) => span.set("lockstep.exit_code", i64::from(report.exit_code())),
        Err(_) => span.failed("unfinished"),
    }
    drop(span);
    telemetry.end().await;
    drop(shown);
    let result = result.map(|report| {
        let text = if chosen().form().is_json() { format!("{}\n", report.to_json()) } else { report.to_text() };
        (text, report.exit_code())
    });
    told(result, &settings)
}

/// Prints what a run came to, or why it came to nothing, and says it with the exit code.
fn told(result: Result<(String, u8), VerifyError>, settings: &Settings) -> ExitCode {
    let (text, code) = match result {
        Ok(told) => told,
        Err(error) => {
            fail_at(&error.to_string(), settings);
            return ExitCode::from(error.exit_code());
        }
    };
    match write_out(&text) {
        Ok(Written::Whole | Written::ReaderGone) => ExitCode::from(code),
        // Nobody was told what was found: that must not look like a difference.
        Err(error) => {
            unwritten(&error);
            ExitCode::from(exit::UNFINISHED)
        }
    }
}

/// Whether what differs is mended.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Repair {
    /// Say what would be.
    Plan,
    /// Do it.
    Apply,
}

/// What a run does.
struct Work<'a> {
    settings: &'a Settings,
    options: &'a VerifyOptions,
    repair: Option<Repair>,
    max_repairs: u64,
    repair_limit: Duration,
    is_recorded: bool,
}

impl Work<'_> {
    async fn run(&self) -> Result<Report, VerifyError> {
        let mut report = verify(self.settings, self.options).await?;
        self.record(&mut report).await;
        match self.repair {
            None => {}
            Some(Repair::Plan) => report.repair = Some(plan_repair(&report)),
            Some(Repair::Apply) => match repair(self.settings, &report, self.max_repairs, self.repair_limit).await {
                Ok(done) if done.is_done => {
                    report = verify(self.settings, self.options).await?;
                    self.record(&mut report).await;
                    report.repair = Some(done);
                }
                Ok(done) => report.repair = Some(done),
                // What was found is told all the same.
                Err(error) => report.failures.push(error.to_string()),
            },
        }
        Ok(report)
    }

    /// Writes a run down; that it could not be is told with what was found.
    async fn record(&self, report: &mut Report) {
        if !self.is_recorded {
            return;
        }
        match record(self.settings, self.options, report).await {
            Ok(run) => {
                report.run = run;
                report.is_not_recorded = run.is_none();
            }
            Err(error) => report.failures.push(format!("the run could not be written down: {error}")),
        }
    }
}

/// A job that is stopped ends at once: there is nothing to finish, and both servers notice that their reader is gone.
async fn until_stopped<T>(work: impl Future<Output = Result<T, VerifyError>>) -> Result<T, VerifyError> {
    let Ok(shutdown) = shutdown::on_signal() else { return work.await };
    tokio::select! {
        result = work => result,
        () = shutdown.cancelled() => Err(VerifyError::Stopped),
    }
}
