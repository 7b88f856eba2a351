//! The package's man pages and completions have every command and option that the reference pages have, which
//! `tests/reference.rs` compares with the programs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of the test's own, gone with it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn written(name: &str) -> Directory {
    let directory = Directory(std::env::temp_dir().join(format!("lockstep-{name}-{}", std::process::id())));
    lockstep_lab::pages::write(&directory.0).expect("pages can be written to a temporary directory");
    directory
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn reference(page: &str) -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(page))
}

/// A man page as it is read: `\-` is a hyphen, and `\fB` begins bold letters.
fn man(directory: &Directory, command: &str) -> String {
    let page = read(&directory.0.join("man").join(format!("{}.1", command.replace(' ', "-"))));
    [("\\-", "-"), ("\\fB", ""), ("\\fI", ""), ("\\fR", "")]
        .iter()
        .fold(page, |page, (from, to)| page.replace(from, to))
}

/// What stands in the backquotes that a line begins with.
fn quoted<'a>(line: &'a str, begins: &str) -> Option<&'a str> {
    line.strip_prefix(begins)?.split('`').next()
}

/// The `--name` in it, if it is an option.
fn long(option: &str) -> Option<&str> {
    option.split([' ', ',']).find(|word| word.starts_with("--"))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-' && letter != '_')
}

/// Whether it is there as a whole word.
fn has(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

/// Each command of the reference with the options that it alone has.
fn commands(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in page.lines() {
        if let Some(command) = quoted(line, "## `") {
            commands.push((command, Vec::new()));
        } else if let (Some(option), Some((_, options))) = (quoted(line, "| `").and_then(long), commands.last_mut()) {
            options.push(option);
        }
    }
    commands
}

#[test]
fn pages_of_man_have_every_command_option_and_setting() {
    let directory = written("man");
    let (commands_page, settings) = (reference("commands.md"), reference("settings.md"));
    let commands = commands(&commands_page);
    assert!(commands.len() > 40, "docs/reference/commands.md lists {} commands only", commands.len());
    for (command, options) in &commands {
        let page = man(&directory, command);
        for option in options {
            assert!(has(&page, option), "the man page of `{command}` has no {option}");
        }
    }
    let variables: Vec<_> = settings.lines().filter_map(|line| quoted(line, "| `LOCKSTEP_")).collect();
    assert!(variables.len() > 20, "docs/reference/settings.md lists {} settings only", variables.len());
    for program in ["lockstep", "lockstep-sequencer", "lockstep-worker", "lockstep-verifier"] {
        let page = man(&directory, program);
        for variable in &variables {
            assert!(has(&page, &format!("LOCKSTEP_{variable}")), "the man page of {program} has no {variable}");
        }
    }
    let pages = fs::read_dir(directory.0.join("man")).expect("the directory can be listed").count();
    assert_eq!(pages, commands.len(), "one page for each command, and none for what is hidden");
}

#[test]
fn pages_of_completions_have_every_command_and_option() {
    let directory = written("completions");
    let commands_page = reference("commands.md");
    let commands = commands(&commands_page);
    for program in ["lockstep", "lockstep-sequencer", "lockstep-worker", "lockstep-verifier"] {
        for script in [format!("bash/{program}"), format!("zsh/_{program}"), format!("fish/{program}.fish")] {
            // Fish has options without their hyphens: `-l output`.
            let text = read(&directory.0.join(&script)).replace("-l ", "--");
            let known: HashSet<_> = words(&text).collect();
            for (command, options) in commands.iter().filter(|(command, _)| command.split(' ').next() == Some(program))
            {
                let name = command.rsplit(' ').next().expect("a heading names a program");
                assert!(known.contains(name), "the completions {script} have no `{command}`");
                for option in options {
                    assert!(known.contains(option), "the completions {script} of `{command}` have no {option}");
                }
            }
        }
    }
}
