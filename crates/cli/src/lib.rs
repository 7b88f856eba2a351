//! The `lockstep` command: set up, look, wait.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people through its output")]

mod arrival;
mod detach;
mod doctor;
mod erase;
mod error;
mod fusebox;
mod migrate;
mod progress;
mod quarantine;
mod reexport;
mod resync;
mod rewind;
mod settings;
mod status;
mod tenancies;
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
    /// Take everything of Lockstep's out of the source database again
    Detach(detach::DetachArgs),
    /// Show what waits where, from the inbox to each mapping's backlog
    Status(status::StatusArgs),
    /// Return when every destination holds what the source holds now
    Wait(wait::WaitArgs),
    /// Show what is stopped; stop a part, or let it go on
    Fusebox(fusebox::FuseboxArgs),
    /// Export again, while everything goes on and readers see no gap
    Resync(resync::ResyncArgs),
    /// Mend what a source that was restored to an earlier state has forgotten
    Rewind(rewind::RewindArgs),
    /// Show rows that a destination refused, ship them again, or forget them
    Quarantine(quarantine::QuarantineArgs),
    /// Have the rows of a tenancy that is gone erased from the destination, and print the receipt
    Erase(erase::EraseArgs),
    /// Show or change what holds for all programs together
    Settings(settings::SettingsCommand),
    /// Say what is wrong with capture and ClickHouse, and what to do about it; exit 1 if anything is
    Doctor(doctor::DoctorArgs),
}

impl Command {
    const fn needs(&self) -> Needs {
        match self {
            Self::Migrate(_) | Self::Wait(_) | Self::Resync(_) | Self::Rewind(_) | Self::Doctor(_) => {
                Needs { source: true, amqp: false, clickhouse: true }
            }
            Self::Fusebox(_) | Self::Quarantine(_) => Needs { source: true, amqp: false, clickhouse: false },
            Self::Status(_) => Needs { source: true, amqp: true, clickhouse: true },
            Self::Erase(_) | Self::Settings(_) | Self::Detach(_) => {
                Needs { source: true, amqp: false, clickhouse: false }
            }
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
        Command::Detach(args) => detach::run(args, settings, mappings).await,
        Command::Status(args) => status::run(args, settings, mappings).await,
        Command::Wait(args) => wait::run(args, settings, mappings).await,
        Command::Fusebox(args) => fusebox::run(args, settings, mappings).await,
        Command::Resync(args) => resync::run(args, settings, mappings).await,
        Command::Rewind(args) => rewind::run(args, settings, mappings).await,
        Command::Quarantine(args) => quarantine::run(args, settings, mappings).await,
        Command::Erase(args) => erase::run(args, settings, mappings).await,
        Command::Settings(args) => settings::run(args, settings).await,
        Command::Doctor(args) => doctor::run(args, settings, mappings).await,
    }
}
