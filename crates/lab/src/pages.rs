//! Man pages and completions of shells, made from the programs' command lines for the Debian package.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// What a shell calls the completions of a program.
type FileName = fn(&str) -> String;

/// Each shell with what its completions for a program stand in; the names are those that the shell looks for.
const SHELLS: [(Shell, FileName); 3] = [
    (Shell::Bash, |program| program.to_owned()),
    (Shell::Zsh, |program| format!("_{program}")),
    (Shell::Fish, |program| format!("{program}.fish")),
];

/// The command lines of the four programs that a deployment runs.
pub fn programs() -> [Command; 4] {
    [
        lockstep_cli::Cli::command(),
        lockstep_sequencer::Arguments::command(),
        lockstep_worker::Arguments::command(),
        lockstep_verifier::command::Arguments::command(),
    ]
}

/// Writes `man`, with one page for each program and each command of one, and a directory for each shell.
pub fn write(directory: &Path) -> io::Result<()> {
    let man = directory.join("man");
    fs::create_dir_all(&man)?;
    for program in programs() {
        clap_mangen::generate_to(program, &man)?;
    }
    for (shell, file) in SHELLS {
        let completions = directory.join(shell.to_string());
        fs::create_dir_all(&completions)?;
        for mut program in programs() {
            let name = program.get_name().to_owned();
            let mut script = File::create(completions.join(file(&name)))?;
            clap_complete::generate(shell, &mut program, name, &mut script);
        }
    }
    Ok(())
}
