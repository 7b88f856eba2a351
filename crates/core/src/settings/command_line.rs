//! The command line of a program, and what is said where it cannot be parsed.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::error::ContextKind;
use clap::{Command, Parser};

use super::is_blank;
use crate::exit;
use crate::output::{Guess, choose_colors};

/// Parses the command line; what is wrong with it counts as wrong settings.
///
/// # Errors
/// The exit code to end with: 0 after `--help` and `--version`, otherwise 78, after the message was printed.
pub fn parse_command_line<T: Parser>() -> Result<T, ExitCode> {
    let guess = Guess::of(std::env::args().skip(1));
    choose_colors(guess.colors);
    parse(&std::env::args_os().collect::<Vec<_>>()).map_err(|error| {
        if error.use_stderr() {
            guess.fail(&error);
            return ExitCode::from(exit::CONFIGURATION);
        }
        // Printing to a closed pipe is no failure of ours.
        let _ = error.print();
        ExitCode::from(exit::OK)
    })
}

fn parse<T: Parser>(words: &[OsString]) -> Result<T, clap::Error> {
    // A variable that is empty is as if it was not set, whatever its setting takes: files of compose and charts pass such ones.
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| is_blank(&value));
    let parsed = without_variables(T::command(), &is_empty).try_get_matches_from(words);
    let matches = parsed.map_err(|error| of_words::<T>(words, error))?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut T::command()))
}

/// The same mistake as it is told where no variable is set: clap names each that is in the usage line, as if the command needed it.
fn of_words<T: Parser>(words: &[OsString], error: clap::Error) -> clap::Error {
    let told = without_variables(T::command(), &|_| true).try_get_matches_from(words).err();
    let is_same = |other: &clap::Error| {
        other.kind() == error.kind() && other.get(ContextKind::InvalidArg) == error.get(ContextKind::InvalidArg)
    };
    told.filter(is_same).unwrap_or(error)
}

/// A command that takes nothing from these variables.
fn without_variables(command: Command, are_left_out: &dyn Fn(&OsStr) -> bool) -> Command {
    let command = command
        .mut_args(|flag| if flag.get_env().is_some_and(are_left_out) { flag.env(None::<&'static str>) } else { flag });
    command.mut_subcommands(|command| without_variables(command, are_left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PATH` is set wherever this runs.
    #[derive(Parser, Debug)]
    struct Program {
        #[arg(long, env = "PATH", global = true)]
        path: Option<String>,
        #[command(subcommand)]
        action: Action,
    }

    #[derive(clap::Subcommand, Debug)]
    enum Action {
        Retry {
            #[arg(long, required_unless_present = "id")]
            all: bool,
            id: Option<String>,
        },
    }

    fn parsed(line: &str) -> Result<Program, clap::Error> {
        parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_usage_names_what_the_command_needs_and_nothing_of_the_environment() {
        for line in ["program retry", "program retry --all --nonsense", "program retry one two"] {
            let said = parsed(line).unwrap_err().to_string();
            assert!(said.contains("Usage: program") && !said.contains("--path"), "{line}: {said}");
        }
        let said = parsed("program retry --path x").unwrap_err().to_string();
        assert!(said.contains("Usage: program retry") && said.contains("--all"), "{said}");
        let right = parsed("program retry --all").unwrap();
        assert!(right.path.is_some() && matches!(right.action, Action::Retry { all: true, id: None }));
    }
}
