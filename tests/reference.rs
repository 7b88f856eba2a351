//! `docs/reference/commands.md` and `docs/reference/settings.md` say what the programs take: they are made from the command lines
//! themselves, and `cargo xtask generate` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

/// Set where the pages are to be written instead of compared.
const WRITE_VARIABLE: &str = "LOCKSTEP_WRITE_DOCS";

const COMMANDS: &str = "# Commands

Four programs share the [settings](settings.md), which each of them also takes as flags. This page is made from the programs:
`cargo xtask generate`. What `--output json` prints is in [the JSON of commands](../json.md).
";

const SETTINGS: &str = "# Settings

The same names for every program, as flags or in the environment. An empty variable counts as not given. Wrong or missing
settings end a program with exit code 78 and one list of all that is wrong ([LS-0001](../errors/LS-0001.md)). This page is made from
the programs: `cargo xtask generate`.

| variable | flag | what it is |
|---|---|---|
";

fn programs() -> [Command; 4] {
    let mut programs = lockstep_lab::pages::programs();
    programs.iter_mut().for_each(Command::build);
    programs
}

/// As one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "\\<")
}

fn help(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut told = cell(&help);
    let values = argument.get_possible_values();
    let takes = argument.get_num_args().is_some_and(|values| values.takes_values());
    if takes && !argument.is_hide_possible_values_set() && !values.is_empty() {
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(told, ": {}", values.join(", "));
    }
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes && !defaults.is_empty() {
        let _ = write!(told, " (default: `{}`)", defaults.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(told, "; also `{}`", variable.to_string_lossy());
    }
    told
}

/// How an argument is written on a command line.
fn written(argument: &Arg) -> String {
    let takes = argument.get_num_args().is_some_and(|values| values.takes_values());
    let names = argument.get_value_names().unwrap_or_default();
    let value = if takes { names.join(" ") } else { String::new() };
    let Some(long) = argument.get_long() else { return value };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    format!("{short}--{long} {value}").trim_end().to_owned()
}

/// Whether every program takes it, and the page of settings has it.
fn is_setting(argument: &Arg) -> bool {
    argument.is_global_set() && argument.get_env().is_some()
}

fn describe(page: &mut String, name: &str, command: &Command) {
    let _ = writeln!(page, "\n## `{name}`\n");
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(page, "{about}\n\n```text\n{}\n```", usage.trim_start_matches("Usage: ").trim());
    let rows = command.get_arguments().filter(|argument| {
        let common = ["help", "version"].contains(&argument.get_id().as_str());
        !common && !argument.is_hide_set() && !is_setting(argument)
    });
    let rows: Vec<_> = rows.map(|row| format!("| `{}` | {} |", written(row).replace('|', "\\|"), help(row))).collect();
    if !rows.is_empty() {
        let _ = writeln!(page, "\n| option | what it does |\n|---|---|\n{}", rows.join("\n"));
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = writeln!(page, "\n```text\n{after}\n```");
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        describe(page, &format!("{name} {}", below.get_name()), below);
    }
}

fn commands() -> String {
    let mut page = COMMANDS.to_owned();
    for program in programs() {
        describe(&mut page, program.get_name(), &program);
    }
    page
}

fn settings() -> String {
    let mut page = SETTINGS.to_owned();
    let [command, ..] = programs();
    for setting in command.get_arguments().filter(|argument| is_setting(argument)) {
        let variable = setting.get_env().unwrap_or_default().to_string_lossy();
        let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "| `{variable}` | `{}` | {} |", written(setting).replace('|', "\\|"), cell(&help));
    }
    page
}

#[test]
fn reference_pages_are_what_the_programs_take() {
    for (file, text) in [("commands.md", commands()), ("settings.md", settings())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(file);
        if std::env::var_os(WRITE_VARIABLE).is_some() {
            std::fs::write(&path, text).expect("docs/reference can be written");
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = page.lines().zip(text.lines()).find(|(found, made)| found != made);
        assert!(page == text, "docs/reference/{file} is out of date, run `cargo xtask generate`; first: {differs:?}");
    }
}
