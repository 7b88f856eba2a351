//! Progress on stderr: a spinner for people at a terminal, plain lines otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lockstep_core::output;

/// Lines of what is being done, each ended by how long it took.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    began: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_quiet = output::chosen().is_quiet();
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, is_quiet, began: Instant::now() }
    }

    /// What is being done from now on.
    pub(crate) fn begin(&mut self, what: &str) {
        self.began = Instant::now();
        if let Some(bar) = &self.bar {
            bar.reset_elapsed();
            bar.set_message(what.to_owned());
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.is_quiet => {}
            None => output::write_aside(&format!("{line}\n")),
        }
    }

    /// How long what was begun has taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
