//! `lockstep-sequencer`: the daemon.

use std::process::ExitCode;

use lockstep_core::{exit, output, settings, shutdown, telemetry};
use lockstep_sequencer::{Arguments, NEEDS};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match settings::parse_command_line() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let settings = match arguments.settings.resolve(NEEDS) {
        Ok(settings) => settings,
        Err(errors) => {
            output::fail(&errors.to_string());
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    let telemetry = telemetry::start("lockstep-sequencer", &settings);
    let shutdown = match shutdown::on_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals");
            return ExitCode::FAILURE;
        }
    };
    let ended = lockstep_sequencer::run(settings, shutdown).await;
    telemetry.end().await;
    match ended {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::from(error.exit_code())
        }
    }
}
