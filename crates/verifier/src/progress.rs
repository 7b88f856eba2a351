//! How far it has come, for whoever watches: a library call tells, a program shows.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lockstep_core::output::write_aside;
use tokio::task::JoinHandle;

/// Shorter runs show nothing.
const SILENT_FOR: Duration = Duration::from_secs(2);
const ON_A_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// What is being done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Phase {
    /// Connecting, and finding out what to compare.
    #[default]
    Starting,
    /// Comparing all rows of a mapping.
    Comparing {
        /// Which.
        mapping: String,
        /// Read from Postgres so far.
        source_rows: u64,
        /// Read from ClickHouse so far.
        destination_rows: u64,
    },
    /// Comparing tenants' own destinations, several at a time.
    Destinations {
        /// So many are compared.
        done: usize,
        /// Of so many.
        all: usize,
    },
    /// Looking again at what differed.
    Settling {
        /// Of which mapping.
        mapping: String,
        /// Differing keys of it that are not decided.
        open: usize,
        /// Counted from 1.
        round: u32,
    },
}

/// What one run of [`crate::verify`] tells about itself. Clones share one state.
#[derive(Clone, Default, Debug)]
pub struct Progress(Arc<Mutex<Phase>>);

impl Progress {
    /// What is being done at the moment.
    pub fn phase(&self) -> Phase {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(crate) fn comparing(&self, mapping: &str) {
        self.set(Phase::Comparing { mapping: mapping.to_owned(), source_rows: 0, destination_rows: 0 });
    }

    pub(crate) fn rows(&self, source: u64, destination: u64) {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Comparing { source_rows, destination_rows, .. } = &mut *phase {
            (*source_rows, *destination_rows) = (source, destination);
        }
    }

    pub(crate) fn settling(&self, mapping: &str, open: usize, round: u32) {
        self.set(Phase::Settling { mapping: mapping.to_owned(), open, round });
    }

    pub(crate) fn destinations(&self, done: usize, all: usize) {
        self.set(Phase::Destinations { done, all });
    }

    /// Shows it on standard error until the returned guard is dropped: one live line on a terminal, a line now and then
    /// elsewhere, nothing in the first two seconds.
    pub(crate) fn show(&self) -> Shown {
        let progress = self.clone();
        Shown(tokio::spawn(async move {
            tokio::time::sleep(SILENT_FOR).await;
            if std::io::stderr().is_terminal() {
                on_a_terminal(&progress).await;
            } else {
                elsewhere(&progress).await;
            }
        }))
    }
}

/// Ends the showing when it is dropped.
pub(crate) struct Shown(JoinHandle<()>);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn on_a_terminal(progress: &Progress) {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
    // Dropped with the task, which takes the line away.
    let line = ProgressBar::new_spinner().with_style(style).with_finish(indicatif::ProgressFinish::AndClear);
    let mut every = tokio::time::interval(ON_A_TERMINAL);
    loop {
        every.tick().await;
        line.set_message(progress.phase().to_string());
        line.tick();
    }
}

async fn elsewhere(progress: &Progress) {
    let mut every = tokio::time::interval(ELSEWHERE);
    loop {
        every.tick().await;
        write_aside(&format!("{}\n", progress.phase()));
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starting => f.write_str("connecting"),
            Self::Comparing { mapping, source_rows, destination_rows } => {
                write!(f, "{mapping}: {source_rows} rows of Postgres, {destination_rows} of ClickHouse")
            }
            Self::Destinations { done, all } => write!(f, "{done} of {all} destinations of tenants are compared"),
            Self::Settling { mapping, open, round } => {
                write!(f, "{mapping}: look {round} at {open} rows that differed")
            }
        }
    }
}
