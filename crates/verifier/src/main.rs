//! `lockstep-verifier`: a job that compares both sides and ends with what it found as its exit code.

use std::process::ExitCode;

use lockstep_core::settings::parse_command_line;
use lockstep_verifier::command::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    match parse_command_line::<Arguments>() {
        Ok(arguments) => run(arguments).await,
        Err(code) => code,
    }
}
