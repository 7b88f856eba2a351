//! `cargo xtask`: private services for development and tests, the demo, the benchmarks, and the checks that CI runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command-line tool does")]

mod account;
mod book;
mod cargo;
mod check;
mod console;
mod deadline;
mod dist;
mod environment;
mod generated;
mod install;
mod lock;
mod npm;
mod ports;
mod process;
mod programs;
mod progress;
mod python;
mod run;
mod services;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::services::Release;
use crate::workspace::Workspace;

/// Everything a developer runs, in one place.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start private PostgreSQL, RabbitMQ and ClickHouse for this checkout
    #[command(after_help = services::HELP)]
    Up(Versions),
    /// Stop them
    Down {
        /// Also remove their data, ports and logs (the downloaded ClickHouse library stays in the user's cache)
        #[arg(long)]
        purge: bool,
    },
    /// Kill one of them, as a crash would, and start it again
    Restart {
        /// Which: postgresql, rabbitmq or clickhouse
        service: String,
    },
    /// Show what runs, where, and where it logs
    Status,
    /// Start the services and run every test, with cargo-nextest where it is installed; `test console`: the console's, in a browser
    #[command(args_conflicts_with_subcommands = true)]
    Test {
        #[command(subcommand)]
        only: Option<OnlyTest>,
        #[command(flatten)]
        versions: Versions,
        /// Passed on to the test runner: a part of a test's name, or its options
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// What CI runs: format, arrows between crates, files, documents, licences, clippy, and then the tests
    #[command(args_conflicts_with_subcommands = true)]
    Check {
        /// Leave the tests out
        #[arg(long)]
        no_tests: bool,
        #[command(subcommand)]
        only: Option<OnlyCheck>,
    },
    /// Build the book of docs below .lockstep/book, and look at every link in it
    Book,
    /// Build the Debian package below .lockstep/dist: optimised programs, units, man pages, completions, lists of what is built in
    Dist,
    /// Write anew what is made from code: the reference pages, the book's list of pages, llms.txt
    Generate,
    /// Watch twelve tables arrive in ClickHouse, stay in step, and be proven equal
    #[command(after_help = run::DEMO_HELP, override_usage = "cargo xtask demo [OPTIONS]")]
    Demo(PassedOn),
    /// Measure, with optimised programs
    #[command(after_help = run::BENCH_HELP, override_usage = "cargo xtask bench [SCENARIO] [OPTIONS]")]
    Bench(PassedOn),
    /// Crash every step of the way of a row, or a random workload under random faults, and compare
    #[command(after_help = run::CHAOS_HELP, override_usage = "cargo xtask chaos <matrix|run> [OPTIONS]")]
    Chaos(PassedOn),
    /// Be the ClickHouse server: load the library and run it with these arguments
    #[command(name = services::CLICKHOUSE_HOST, hide = true)]
    ClickhouseHost {
        library: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// A check of its own, which needs tools of others.
#[derive(Subcommand)]
enum OnlyCheck {
    /// Chart, kustomize base, alerts, dashboard, units: rendered and validated with tools that are installed below .lockstep
    Deploy {
        /// Render the kustomize base anew
        #[arg(long)]
        write: bool,
    },
}

/// Tests of their own, which need programs of others.
#[derive(Subcommand)]
enum OnlyTest {
    /// The console in Debian's Chromium; what is missing is installed with apt-get and npm
    Console {
        /// Also keep pictures of the views for the documents, in docs/images
        #[arg(long)]
        pictures: bool,
    },
}

/// Which versions of the services are used.
#[derive(Args)]
struct Versions {
    /// PostgreSQL of this major version, from npm, beside the usual one
    #[arg(long, value_name = "VERSION")]
    postgres: Option<Release>,
}

impl Versions {
    fn postgres(&self) -> Release {
        self.postgres.unwrap_or(Release::Installed)
    }
}

/// Arguments that xtask does not look at.
#[derive(Args)]
struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
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
    match command {
        Command::Up(versions) => services::up(&Workspace::find()?, versions.postgres())?.print(),
        Command::Down { purge } => services::down(&Workspace::find()?, purge)?,
        Command::Restart { service } => services::restart(&Workspace::find()?, &service)?,
        Command::Status => services::status(&Workspace::find()?)?,
        Command::Test { only: Some(OnlyTest::Console { pictures }), .. } => {
            return console::test(&Workspace::find()?, pictures);
        }
        Command::Test { only: None, versions, arguments } => {
            return run::test(&Workspace::find()?, versions.postgres(), &arguments);
        }
        Command::Check { only: Some(OnlyCheck::Deploy { write }), .. } => {
            return check::deploy(&Workspace::find()?, write);
        }
        Command::Check { no_tests, only: None } => return check::check(&Workspace::find()?, !no_tests),
        Command::Book => return book::build(&Workspace::find()?),
        Command::Dist => dist::build(&Workspace::find()?)?,
        Command::Generate => generated::write(&Workspace::find()?)?,
        Command::Demo(PassedOn { arguments }) => return run::demo(&Workspace::find()?, &arguments),
        Command::Bench(PassedOn { arguments }) => return run::bench(&Workspace::find()?, &arguments),
        Command::Chaos(PassedOn { arguments }) => return run::chaos(&Workspace::find()?, &arguments),
        Command::ClickhouseHost { library, arguments } => return services::host_clickhouse(&library, arguments),
    }
    Ok(ExitCode::SUCCESS)
}
