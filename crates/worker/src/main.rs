//! `lockstep-worker`: see the library for what it does.

use std::process::ExitCode;

use lockstep_core::settings::{Needs, parse_command_line};
use lockstep_core::{exit, output, shutdown, telemetry};
use lockstep_worker::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match parse_command_line() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let settings = match arguments.settings.resolve(Needs { source: true, amqp: true, clickhouse: true }) {
        Ok(settings) => settings,
        Err(errors) => return failed(&errors, exit::CONFIGURATION),
    };
    let telemetry = telemetry::start("lockstep-worker", &settings);
    let shutdown = match shutdown::on_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => return failed(&error, exit::DIFFERENT),
    };
    let ended = lockstep_worker::run(settings, shutdown).await;
    telemetry.end().await;
    match ended {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// Errors that end the program are for whoever started it, whatever the log's filter.
fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    output::fail(&error.to_string());
    ExitCode::from(code)
}
