//! Faults on purpose: a matrix of crashes at every step, and chaos. In both the oracle has the last word.

pub mod matrix;
pub mod run;

use clap::{Parser, Subcommand};

/// Options of `cargo xtask chaos`.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos", about)]
pub struct ChaosArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Crash, fail and hang at every step of sequencer and worker, one at a time
    Matrix(matrix::MatrixArgs),
    /// A random workload against random faults, both drawn from a seed
    Run(run::RunArgs),
}

/// Does what was asked for. True when everything was equal at the end.
///
/// # Errors
/// When a service cannot be used, or one of Lockstep's own programs cannot be started.
pub async fn run(args: &ChaosArgs) -> anyhow::Result<bool> {
    match &args.command {
        Command::Matrix(args) => matrix::run(args).await,
        Command::Run(args) => run::run(args).await,
    }
}
