//! `cargo xtask`: private services for development and tests, the demo, the benchmarks, and the checks that CI runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command-line tool does")]

mod account;
mod deadline;
mod environment;
mod install;
mod lock;
mod ports;
mod process;
mod programs;
mod progress;
mod services;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Everything a developer runs, in one place.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start private PostgreSQL, RabbitMQ and ClickHouse for this checkout
    #[command(after_help = services::HELP)]
    Up,
    /// Stop them
    Down {
        /// Also remove their data, ports and logs (the downloaded ClickHouse library stays in the user's cache)
        #[arg(long)]
        purge: bool,
    },
    /// Show what runs, where, and where it logs
    Status,
    /// Be the ClickHouse server: load the library and run it with these arguments
    #[command(name = services::CLICKHOUSE_HOST, hide = true)]
    ClickhouseHost {
        library: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    if let Command::ClickhouseHost { library, arguments } = command {
        return services::host_clickhouse(&library, arguments);
    }
    let workspace = Workspace::find()?;
    match command {
        Command::Up => services::up(&workspace)?.print(),
        Command::Down { purge } => services::down(&workspace, purge)?,
        Command::Status => services::status(&workspace)?,
        Command::ClickhouseHost { .. } => unreachable!("handled above"),
    }
    Ok(ExitCode::SUCCESS)
}
