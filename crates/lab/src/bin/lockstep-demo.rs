//! `cargo xtask demo` runs this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a demo speaks to people through its output")]

use std::process::ExitCode;

use lockstep_core::{exit, settings, shutdown};
use lockstep_lab::demo;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match settings::parse_command_line::<demo::DemoArgs>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let outcome = match shutdown::on_signal() {
        Ok(shutdown) => demo::run(&args, &shutdown).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => ExitCode::from(exit::OK),
        Ok(false) => ExitCode::from(exit::DIFFERENT),
        Err(error) => {
            eprintln!("the demo failed: {error:#}");
            ExitCode::from(exit::DIFFERENT)
        }
    }
}
