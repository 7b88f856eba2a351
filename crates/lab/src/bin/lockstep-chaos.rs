//! `cargo xtask chaos` runs this.
#![allow(clippy::print_stderr, reason = "what went wrong is for whoever started it")]

use std::process::ExitCode;

use lockstep_core::{exit, settings};
use lockstep_lab::chaos;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match settings::parse_command_line::<chaos::ChaosArgs>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match chaos::run(&args).await {
        Ok(true) => ExitCode::from(exit::OK),
        Ok(false) => ExitCode::from(exit::DIFFERENT),
        Err(error) => {
            eprintln!("chaos failed: {error:#}");
            ExitCode::from(exit::DIFFERENT)
        }
    }
}
