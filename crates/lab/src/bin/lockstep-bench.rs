//! `cargo xtask bench` runs this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "benchmarks speak to people through their output")]

use std::process::ExitCode;

use lockstep_core::{exit, settings};
use lockstep_lab::bench;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match settings::parse_command_line::<bench::BenchArgs>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match bench::run(&args).await {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("the benchmark failed: {error:#}");
            ExitCode::from(exit::DIFFERENT)
        }
    }
}
