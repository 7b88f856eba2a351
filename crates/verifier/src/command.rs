//! The command line of `lockstep-verifier`: without a subcommand it verifies.

mod compare;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockstep_core::settings::{Needs, Settings, SettingsArgs};
use lockstep_core::{TenancyId, exit, shutdown, telemetry};

use self::compare::CompareArguments;
use crate::{DestinationChoice, Level, Shown, VerifyError, VerifyOptions, verify};

/// Compares Postgres with ClickHouse and with tenants' own destinations, row by row and column by column. Reads only.
///
/// Exit code: 0 equal, 1 different, 2 only in flight, 3 could not finish, 78 wrong settings. A destination that cannot be
/// compared (paused, not reached, being filled, stopped) is named, and the others are compared: 3.
#[derive(Parser, Debug)]
#[command(name = "lockstep-verifier", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
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
}

#[derive(Args, Debug)]
struct VerifyArguments {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
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
    #[arg(long)]
    recent_first: bool,
    /// Compare one mapping after the other, and nothing more once one differs; says what was left out
    #[arg(long)]
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
    /// Show keys that are texts, which may say something about people, instead of their hashes
    #[arg(long)]
    show_keys: bool,
    /// How many findings to show for each mapping
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// A table, for people
    Text,
    /// One object, for programs
    Json,
}

/// Runs it and prints the result on standard output.
pub async fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Some(Command::Compare(compare)) => compare::run(&arguments.settings, compare).await,
        None => verified(&arguments.settings, arguments.verify).await,
    }
}

/// The settings of a run, with its log begun; or the exit code where they are wrong.
#[allow(clippy::print_stderr, reason = "nothing logs yet")]
fn prepared(settings: &SettingsArgs, needs: Needs) -> Result<Settings, ExitCode> {
    match settings.clone().resolve(needs) {
        Ok(settings) => {
            telemetry::start(&settings);
            Ok(settings)
        }
        Err(errors) => {
            eprintln!("{errors}");
            Err(ExitCode::from(exit::CONFIGURATION))
        }
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "printing the result is its job")]
async fn verified(settings: &SettingsArgs, arguments: VerifyArguments) -> ExitCode {
    let destinations =
        if arguments.skip_destinations { vec![DestinationChoice::ClickHouse] } else { arguments.destinations };
    let skip_destinations = arguments.without_destinations;
    let clickhouse = (destinations.is_empty() || destinations.contains(&DestinationChoice::ClickHouse))
        && !skip_destinations.contains(&DestinationChoice::ClickHouse);
    let settings = match prepared(settings, Needs { source: true, amqp: false, clickhouse }) {
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
        destination_limit: Duration::from_secs(arguments.destination_timeout),
        settle: Duration::from_secs(arguments.settle),
        show: arguments.show,
        shown: if arguments.show_keys { Shown::Keys } else { Shown::Ids },
        ..VerifyOptions::default()
    };
    let shown = options.progress.show();
    let result = until_stopped(verify(&settings, &options)).await;
    drop(shown);
    match (result, arguments.format) {
        (Ok(report), Format::Text) => {
            print!("{}", report.to_text());
            ExitCode::from(report.exit_code())
        }
        (Ok(report), Format::Json) => {
            println!("{}", report.to_json());
            ExitCode::from(report.exit_code())
        }
        (Err(error), format) => {
            eprintln!("{error}");
            if format == Format::Json {
                println!("{}", unfinished(&error));
            }
            ExitCode::from(error.exit_code())
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

fn unfinished(error: &VerifyError) -> serde_json::Value {
    serde_json::json!({ "verdict": "unfinished", "mappings": [], "destinations": [], "error": error.to_string() })
}
