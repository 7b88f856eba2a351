//! The `lockstep` command: set up, look, wait.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people through its output")]

mod backlog;
mod doctor;
mod error;
mod migrate;
mod progress;
mod status;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lockstep_core::settings::{Needs, Settings, SettingsArgs};
use lockstep_core::{exit, telemetry};
use lockstep_mappings::MappingSet;

pub use error::CliError;

/// Keeps every tenant's data in ClickHouse exactly in step with Postgres, and proves it.
#[derive(Parser, Debug)]
#[command(name = "lockstep", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Set up capture in the source database, and the tables in ClickHouse. Safe to run again
    Migrate(migrate::MigrateArgs),
    /// Show what waits where, from flagged rows to each mapping's backlog
    Status(status::StatusArgs),
    /// Return when every destination holds what the source holds now
    Wait(wait::WaitArgs),
    /// Say what is wrong with capture and ClickHouse, and what to do about it; exit 1 if anything is
    Doctor(doctor::DoctorArgs),
}

impl Command {
    const fn needs(&self) -> Needs {
        match self {
            Self::Migrate(_) | Self::Wait(_) | Self::Doctor(_) => Needs { source: true, amqp: false, clickhouse: true },
            Self::Status(_) => Needs { source: true, amqp: true, clickhouse: true },
        }
    }
}

/// Runs a command line to its exit code.
pub async fn run(cli: Cli) -> ExitCode {
    let settings = match cli.settings.resolve(cli.command.needs()) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    telemetry::start(&settings);
    let mappings = match MappingSet::load(settings.mappings_dir.as_deref()) {
        Ok(mappings) => mappings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    match dispatch(&cli.command, &settings, &mappings).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(command: &Command, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    match command {
        Command::Migrate(args) => migrate::run(args, settings, mappings).await,
        Command::Status(args) => status::run(args, settings, mappings).await,
        Command::Wait(args) => wait::run(args, settings, mappings).await,
        Command::Doctor(args) => doctor::run(args, settings, mappings).await,
    }
}
