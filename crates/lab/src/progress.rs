//! What is going on, on standard error: standard output belongs to the outcome.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A live line on a terminal, plain lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows a bar where the number of steps is known.
    pub(crate) fn new(steps: Option<u64>) -> Self {
        let template = if steps.is_some() {
            "{spinner} {bar:30} {pos}/{len} {msg} ({elapsed})"
        } else {
            "{spinner} {msg} ({elapsed})"
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// What is being done from now on.
    pub(crate) fn doing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                bar.reset_elapsed();
            }
            bar.set_message(what.to_owned());
        }
    }

    /// Whether somebody watches at a terminal.
    pub(crate) fn is_live(&self) -> bool {
        self.bar.is_some()
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// So many steps are done.
    pub(crate) fn done(&self, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(steps);
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
