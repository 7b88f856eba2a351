//! How every program speaks: the form of its result, colours, and how it says that it failed.

mod keys;
mod tone;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use clap::{Args, ValueEnum};
use rustix::termios::{Winsize, tcgetwinsize};
use serde_json::json;

pub use self::keys::Keys;
use self::tone::colored;
pub use self::tone::{Tone, plain, toned};
use crate::remedy::of_service;
use crate::settings::Settings;

/// The form of a result on standard output.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// Text for people
    #[default]
    Table,
    /// One JSON object on one line, as docs/json.md describes it
    Json,
    /// One JSON object a line: each item of a list, or each report of --watch
    Jsonl,
}

impl Form {
    /// Whether a program reads it.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// When there are colours.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colors {
    /// On a terminal that has them; as `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` say
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// Flags of every program that ends with a result.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Form::Table, value_name = "FORM", global = true)]
    output: Form,
    /// The same as --output json
    #[arg(long, hide = true, global = true)]
    json: bool,
    /// When there are colours
    #[arg(long, value_enum, default_value_t = Colors::Auto, value_name = "WHEN", global = true)]
    color: Colors,
    /// Tell nothing of what is under way
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Ask nothing: what would have to be asked is an error
    #[arg(long, global = true)]
    no_input: bool,
}

/// How this process speaks; set once, when its command line is known.
static CHOSEN: OnceLock<OutputArgs> = OnceLock::new();

impl OutputArgs {
    /// Has everything in this process follow these flags. A second call changes nothing.
    pub fn apply(self) {
        choose_colors(self.color);
        let _ = CHOSEN.set(self);
    }

    /// What was asked for.
    pub const fn form(self) -> Form {
        if self.json && matches!(self.output, Form::Table) { Form::Json } else { self.output }
    }

    /// Whether progress is told.
    pub const fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Whether somebody may be asked.
    pub fn may_ask(self) -> bool {
        !self.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

/// How this process speaks; the defaults before that is known.
pub fn chosen() -> OutputArgs {
    CHOSEN.get().copied().unwrap_or_default()
}

/// Help, errors, reports and logs follow one choice.
pub(crate) fn choose_colors(when: Colors) {
    let choice = match when {
        Colors::Auto => ColorChoice::Auto,
        Colors::Always => ColorChoice::Always,
        Colors::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether standard output has colours.
fn stdout_has_colors() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Whether standard error has colours.
pub fn stderr_has_colors() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// The lines of the terminal that standard output is; none where it is no terminal.
pub fn terminal_rows() -> Option<usize> {
    terminal_size().map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

/// The characters of a line of it; none where it is no terminal, or does not say.
pub fn terminal_columns() -> Option<u16> {
    terminal_size().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

fn terminal_size() -> Option<Winsize> {
    io::stdout().is_terminal().then(|| tcgetwinsize(io::stdout()).ok()).flatten()
}

/// Whether everything was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It was.
    Whole,
    /// The reader has gone, as `| head` does: it has what it wanted, and nothing more is to be written.
    ReaderGone,
}

/// Writes a result to standard output.
///
/// # Errors
/// When it cannot be written, though somebody reads.
pub fn write_out(text: &str) -> io::Result<Written> {
    let mut out = io::stdout().lock();
    match out.write_all(colored(text, stdout_has_colors()).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::ReaderGone),
        done => done.map(|()| Written::Whole),
    }
}

/// Writes a remark to standard error. There is nowhere to tell that this failed.
pub fn write_aside(text: &str) {
    let _ = io::stderr().lock().write_all(colored(text, stderr_has_colors()).as_bytes());
}

/// Prints a result and returns the exit code; a result that nobody could be given is a failure.
pub fn print(text: &str, code: u8) -> u8 {
    match write_out(text) {
        Ok(_) => code,
        Err(error) => unwritten(&error),
    }
}

/// Says that a result could not be written. Returns the exit code.
pub fn unwritten(error: &io::Error) -> u8 {
    fail(&format!("LS-0070: the result cannot be written to standard output: {error}"));
    crate::exit::DIFFERENT
}

/// Says on standard error that the program fails: as text, or as one object where JSON was asked for.
pub fn fail(message: &str) {
    fail_as(chosen().form(), message, None);
}

/// The same, with what to do about a service that does not answer.
pub fn fail_at(message: &str, settings: &Settings) {
    fail_as(chosen().form(), message, of_service(message, settings).as_deref());
}

fn fail_as(form: Form, message: &str, remedy: Option<&str>) {
    let text = if form.is_json() { failure(message, remedy).to_string() } else { failed(message, remedy) };
    write_aside(&format!("{text}\n"));
}

/// What [`fail_at`] says to people.
pub fn failed_at(message: &str, settings: &Settings) -> String {
    failed(message, of_service(message, settings).as_deref())
}

/// What has failed, and on a line of its own what to do about it.
fn failed(message: &str, remedy: Option<&str>) -> String {
    let message = message.trim_end();
    remedy.map_or_else(|| message.to_owned(), |remedy| format!("{message}\n  {remedy}"))
}

/// Where the pages of error codes are.
const PAGES: &str = "https://github.com/lockstep-sync/lockstep/blob/main/docs/errors";

/// The address of an error code's page.
pub fn page_of(code: &str) -> String {
    format!("{PAGES}/{code}.md")
}

fn failure(message: &str, remedy: Option<&str>) -> serde_json::Value {
    let code = code_in(message);
    let docs = code.map(page_of);
    json!({ "code": code, "message": message.trim_end(), "remedy": remedy, "docs": docs })
}

/// The first `LS-` with four digits in a text.
pub fn code_in(text: &str) -> Option<&str> {
    let is_code =
        |at: &usize| text.get(at + 3..at + 7).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let at = text.match_indices("LS-").map(|(at, _)| at).find(is_code)?;
    text.get(at..at + 7)
}

/// A command line that cannot be parsed is answered in the form and the colours that it seems to ask for.
pub(crate) struct Guess {
    pub(crate) form: Form,
    pub(crate) colors: Colors,
}

impl Guess {
    /// From the words of a command line.
    pub(crate) fn of(words: impl Iterator<Item = String>) -> Self {
        let (mut form, mut colors) = (Form::Table, Colors::Auto);
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, words.peek().cloned()),
            };
            let value = value.unwrap_or_default();
            match name.as_str() {
                "--json" => form = Form::Json,
                "--output" => form = Form::from_str(&value, true).unwrap_or(form),
                "--color" => colors = Colors::from_str(&value, true).unwrap_or(colors),
                _ => {}
            }
        }
        Self { form, colors }
    }

    /// Tells what is wrong with the command line.
    pub(crate) fn fail(&self, error: &clap::Error) {
        if self.form.is_json() {
            fail_as(self.form, &format!("LS-0001: {error}"), None);
        } else {
            // Printing to a closed pipe is no failure of ours.
            let _ = error.print();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_object_with_its_code_and_its_page() {
        let said = failure("LS-0041: there is no destination \"x\"\n", None);
        assert_eq!(said["code"], "LS-0041");
        assert_eq!(said["message"], "LS-0041: there is no destination \"x\"");
        assert!(said["docs"].as_str().is_some_and(|docs| docs.ends_with("docs/errors/LS-0041.md")));
        assert!(failure("nobody knows LS-1", None).get("code").is_some_and(serde_json::Value::is_null));
    }

    #[test]
    fn what_cannot_be_parsed_is_answered_as_it_seems_to_be_asked_for() {
        let guess = |line: &str| {
            let guess = Guess::of(line.split(' ').map(str::to_owned));
            (guess.form, guess.colors)
        };
        assert_eq!(guess("status --nonsense"), (Form::Table, Colors::Auto));
        assert_eq!(guess("status --output json --color=always"), (Form::Json, Colors::Always));
        assert_eq!(guess("--output=jsonl --color never"), (Form::Jsonl, Colors::Never));
        assert_eq!(guess("--json --output"), (Form::Json, Colors::Auto));
    }
}
