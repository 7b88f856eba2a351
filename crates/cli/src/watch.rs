//! `--watch`: a report again and again, until Ctrl-C, or q on a terminal.

use std::time::Duration;

use clap::Args;
use lockstep_core::output::{self, Form, Keys, Written};
use lockstep_core::settings::Settings;
use lockstep_core::{exit, shutdown};
use lockstep_mappings::MappingSet;
use lockstep_operations::Deployment;
use tokio::time::{sleep, timeout};

use crate::error::CliError;
use crate::output::{Page, Report, line, show};

/// A look that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);
/// So many failed looks in a row end it.
const FAILURES: u32 = 100;

/// The arguments of a command that only looks.
#[derive(Args, Debug)]
pub(crate) struct Watching<A: Args> {
    #[command(flatten)]
    pub(crate) args: A,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WatchArgs {
    /// Look again every so many seconds until Ctrl-C, or q on a terminal; with --output jsonl each report is a line
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

impl WatchArgs {
    pub(crate) fn every(self) -> Option<Duration> {
        self.watch.map(Duration::from_secs)
    }
}

/// Looks at a deployment, once or every so often; it is connected to anew where a look has failed.
///
/// # Errors
/// As [`watch`].
pub(crate) async fn watch_deployment<'a, R: Report>(
    every: Option<Duration>,
    (settings, mappings): (&'a Settings, &'a MappingSet),
    mut look: impl AsyncFnMut(&Deployment<'a>) -> Result<R, CliError>,
) -> Result<u8, CliError> {
    let mut open: Option<Deployment<'a>> = None;
    let look = async || {
        let deployment = match open.take().filter(|deployment| !deployment.is_closed()) {
            Some(deployment) => deployment,
            None => Deployment::connect(settings, mappings).await?,
        };
        let report = look(&deployment).await?;
        open = Some(deployment);
        Ok(report)
    };
    watch(every, settings, look).await
}

/// Shows what a look finds: once, or every so often. Returns the exit code.
///
/// # Errors
/// When the one look fails, or the first finds that it is asked for wrongly, or too many fail one after the other.
pub(crate) async fn watch<R: Report>(
    every: Option<Duration>,
    settings: &Settings,
    mut look: impl AsyncFnMut() -> Result<R, CliError>,
) -> Result<u8, CliError> {
    let Some(every) = every else { return Ok(show(&look().await?)) };
    let Ok(stop) = shutdown::on_signal() else { return Ok(show(&look().await?)) };
    let screen = Screen::enter();
    let _keys = screen.is_terminal.then(|| Keys::quit(&stop)).flatten();
    let (mut failures, mut is_first) = (0, true);
    loop {
        let Some(looked) = stop.run_until_cancelled(timeout(LIMIT, look())).await else { return Ok(exit::OK) };
        let written = match looked {
            Ok(Ok(report)) => {
                failures = 0;
                screen.show(&report)
            }
            Ok(Err(error)) if failures + 1 == FAILURES || (is_first && error.exit_code() == exit::CONFIGURATION) => {
                return Err(error);
            }
            Ok(Err(error)) => {
                failures += 1;
                screen.failed(&error.to_string(), settings)
            }
            Err(_) => {
                failures += 1;
                screen.failed(&format!("there was no answer within {} s", LIMIT.as_secs()), settings)
            }
        };
        match written {
            Ok(Written::Whole) => {}
            Ok(Written::ReaderGone) => return Ok(exit::OK),
            Err(error) => return Ok(output::unwritten(&error)),
        }
        is_first = false;
        if failures >= FAILURES || stop.run_until_cancelled(sleep(every)).await.is_none() {
            return Ok(if failures >= FAILURES { exit::UNFINISHED } else { exit::OK });
        }
    }
}

/// A terminal on which reports take each other's place; anything else gets them one after the other.
struct Screen {
    is_terminal: bool,
}

/// The other screen, without wrapping and cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?7l\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";

impl Screen {
    fn enter() -> Self {
        let is_terminal = output::chosen().form() == Form::Table && output::terminal_rows().is_some();
        if is_terminal {
            let _ = output::write_out(ENTER);
        }
        Self { is_terminal }
    }

    fn show(&self, report: &impl Report) -> std::io::Result<Written> {
        if output::chosen().form().is_json() {
            return output::write_out(&line(report));
        }
        let mut page = Page::default();
        report.print(&mut page);
        self.draw(&page.whole())
    }

    fn failed(&self, error: &str, settings: &Settings) -> std::io::Result<Written> {
        if self.is_terminal {
            return self.draw(&format!("Failed, and is tried again: {}\n", output::failed_at(error, settings)));
        }
        output::fail_at(error, settings);
        Ok(Written::Whole)
    }

    fn draw(&self, text: &str) -> std::io::Result<Written> {
        let Some(rows) = output::terminal_rows().filter(|_| self.is_terminal) else {
            return output::write_out(&format!("{text}\n"));
        };
        output::write_out(&drawn(text, rows))
    }
}

/// What puts a text in the place of what is on the screen, without a flicker; lines that do not fit are counted.
fn drawn(text: &str, rows: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let mut screen: Vec<_> = lines[..shown].iter().map(|line| format!("{line}\x1b[K")).collect();
    if shown < lines.len() {
        screen.push(format!("and {} more lines\x1b[K", lines.len() - shown));
    }
    format!("\x1b[H{}\x1b[J", screen.join("\r\n"))
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = output::write_out(LEAVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_the_screen_is_counted() {
        assert_eq!(drawn("a\nb\n", 2), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(drawn("a\nb\nc\n", 2), "\x1b[Ha\x1b[K\r\nand 2 more lines\x1b[K\x1b[J");
    }
}
