//! What is being done, on standard error: live lines on a terminal, plain ones elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Several tasks, one line each.
#[derive(Debug)]
pub(crate) struct Progress {
    lines: Option<MultiProgress>,
}

/// One line of it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    name: &'static str,
    line: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { lines: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// A new line, with the task's name in front.
    pub(crate) fn task(&self, name: &'static str) -> Task {
        let line = self.lines.as_ref().map(|lines| {
            let line = lines.add(ProgressBar::new_spinner().with_style(style("{spinner} {prefix:11} {wide_msg}")));
            line.set_prefix(name);
            line.enable_steady_tick(Duration::from_millis(100));
            line
        });
        Task { name, line }
    }
}

impl Task {
    /// Says what is being done now.
    pub(crate) fn say(&self, message: &str) {
        match &self.line {
            Some(line) => {
                line.set_style(style("{spinner} {prefix:11} {wide_msg}"));
                line.set_message(message.to_owned());
            }
            None => eprintln!("{:11} {message}", self.name),
        }
    }

    /// Shows how much of something long is done; nothing where nobody watches.
    pub(crate) fn measure(&self, done_bytes: u64, total_bytes: u64) {
        if let Some(line) = &self.line {
            if line.length() != Some(total_bytes) {
                line.set_style(style("{spinner} {prefix:11} {msg} {wide_bar} {bytes} of {total_bytes}"));
                line.set_length(total_bytes);
            }
            line.set_position(done_bytes.min(total_bytes));
        }
    }

    /// Says how it ended; the line stays.
    pub(crate) fn end(&self, message: &str) {
        match &self.line {
            Some(line) => {
                line.set_style(style("  {prefix:11} {wide_msg}"));
                line.finish_with_message(message.to_owned());
            }
            None => eprintln!("{:11} {message}", self.name),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}
