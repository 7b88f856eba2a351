//! `cargo xtask dist` runs this: man pages and completions below a directory.
#![allow(clippy::print_stderr, reason = "what fails is for whoever started it")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lockstep_core::{exit, settings};
use lockstep_lab::pages;

/// Writes man pages and completions for shells, of all four programs
#[derive(Parser)]
#[command(name = "lockstep-pages", version)]
struct Arguments {
    /// Where `man`, `bash`, `zsh` and `fish` are made
    #[arg(default_value = ".lockstep/dist")]
    directory: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { directory } = match settings::parse_command_line() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match pages::write(&directory) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("cannot write below {}: {error}", directory.display());
            ExitCode::from(exit::DIFFERENT)
        }
    }
}
