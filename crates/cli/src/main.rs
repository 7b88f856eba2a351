//! The `lockstep` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match lockstep_core::settings::parse_command_line::<lockstep_cli::Cli>() {
        Ok(cli) => lockstep_cli::run(cli).await,
        Err(code) => code,
    }
}
