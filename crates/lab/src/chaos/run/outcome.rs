//! What came of it: operations and faults by kind, the time to converge, the verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::workload::Worked;

/// Where a line of counts is broken.
const WIDTH: usize = 110;

/// Whether everything came into step.
#[derive(Debug)]
pub(super) enum Converged {
    /// So long after everything was healed.
    After(Duration),
    /// In time it did not; what `lockstep wait` said.
    Not(String),
}

impl Default for Converged {
    fn default() -> Self {
        Self::Not("it was not asked".to_owned())
    }
}

/// What happened.
#[derive(Default, Debug)]
pub(super) struct Events {
    pub(super) operations: BTreeMap<&'static str, usize>,
    /// Operations for which nothing was there.
    pub(super) void: usize,
    /// Operations that were tried again.
    pub(super) again: usize,
    pub(super) faults: BTreeMap<&'static str, usize>,
    /// Restarts of services that are not ours.
    pub(super) left_out: usize,
    pub(super) converged: Converged,
    /// What the oracle said, if it found a difference.
    pub(super) report: Option<String>,
    /// Rows that were compared.
    pub(super) rows: usize,
    /// Logs of programs that ended though nobody had killed them.
    pub(super) ended: Vec<PathBuf>,
}

impl Events {
    pub(super) fn worked(&mut self, worked: Worked) {
        (self.operations, self.void, self.again) = (worked.made, worked.void, worked.again);
    }
}

/// A run that came to its end.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seed: u64,
    pub(super) seconds: u32,
    pub(super) schedule: u64,
    pub(super) events: Events,
}

/// How to see it again.
pub(super) fn reproduce(seed: u64, seconds: u32) -> String {
    format!("the same again: cargo xtask chaos run --seed {seed} --seconds {seconds}")
}

impl Outcome {
    /// Nothing was lost, and no program gave up.
    pub(super) fn is_equal(&self) -> bool {
        let converged = matches!(self.events.converged, Converged::After(_));
        converged && self.events.report.is_none() && self.events.ended.is_empty()
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", self.to_json());
        } else {
            println!("{}", self.text()?);
        }
        if !self.is_equal() {
            eprintln!("{}", reproduce(self.seed, self.seconds));
        }
        Ok(())
    }

    fn verdict(&self) -> &'static str {
        match &self.events {
            _ if self.is_equal() => "equal",
            Events { report: Some(_), .. } => "DIFFERENT",
            Events { converged: Converged::Not(_), .. } => "NOT IN STEP",
            _ => "A PROGRAM ENDED",
        }
    }

    fn converged_ms(&self) -> Option<u128> {
        match self.events.converged {
            Converged::After(time) => Some(time.as_millis()),
            Converged::Not(_) => None,
        }
    }

    fn to_json(&self) -> String {
        let events = &self.events;
        json!({
            "seed": self.seed,
            "seconds": self.seconds,
            "schedule": format!("{:016x}", self.schedule),
            "equal": self.is_equal(),
            "verdict": self.verdict(),
            "operations": events.operations,
            "operations_void": events.void,
            "operations_tried_again": events.again,
            "faults": events.faults,
            "faults_left_out": events.left_out,
            "converged_ms": self.converged_ms().and_then(|ms| u64::try_from(ms).ok()),
            "rows": events.rows,
            "ended_by_themselves": events.ended.len(),
        })
        .to_string()
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let Self { seed, schedule, events, .. } = self;
        let mut text = String::new();
        let (operations, faults): (usize, usize) = (events.operations.values().sum(), events.faults.values().sum());
        writeln!(text, "seed {seed}, schedule {schedule:016x}")?;
        writeln!(text, "{operations} operations ({} void, {} tried again):", events.void, events.again)?;
        writeln!(text, "{}", counts(&events.operations))?;
        writeln!(text, "{faults} faults ({} restarts left out):", events.left_out)?;
        writeln!(text, "{}", counts(&events.faults))?;
        match &events.converged {
            Converged::After(time) => {
                writeln!(text, "in step {:.1} s after everything was healed", time.as_secs_f64())?;
            }
            Converged::Not(said) => writeln!(text, "{}", said.trim_end())?,
        }
        for log in &events.ended {
            writeln!(text, "a program ended by itself; its log is {}", log.display())?;
        }
        if let Some(report) = &events.report {
            writeln!(text, "{report}")?;
        }
        write!(text, "verdict: {}, {} rows compared", self.verdict(), events.rows)?;
        Ok(text)
    }
}

/// `2 × this, 3 × that`, in lines that fit.
fn counts(counts: &BTreeMap<&str, usize>) -> String {
    let mut lines = vec![String::from("   ")];
    for (index, (name, count)) in counts.iter().enumerate() {
        let comma = if index + 1 < counts.len() { "," } else { "" };
        let part = format!(" {count} × {name}{comma}");
        if lines.last().is_some_and(|line| line.chars().count() + part.chars().count() > WIDTH) {
            lines.push(String::from("   "));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&part);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(converged: Converged, report: Option<&str>, ended: Vec<PathBuf>) -> Outcome {
        let events = Events { converged, report: report.map(str::to_owned), ended, ..Events::default() };
        Outcome { seed: 1, seconds: 60, schedule: 7, events }
    }

    #[test]
    fn only_a_run_that_converged_equal_with_all_programs_alive_is_equal() {
        let after = || Converged::After(Duration::from_secs(1));
        assert_eq!(outcome(after(), None, Vec::new()).verdict(), "equal");
        assert_eq!(outcome(after(), Some("one missing"), Vec::new()).verdict(), "DIFFERENT");
        assert_eq!(outcome(Converged::default(), None, Vec::new()).verdict(), "NOT IN STEP");
        assert_eq!(outcome(after(), None, vec!["log".into()]).verdict(), "A PROGRAM ENDED");
    }

    #[test]
    fn counts_are_broken_into_lines_that_fit() {
        let names: Vec<_> = (0..30).map(|number| format!("operation number {number}")).collect();
        let map = names.iter().map(|name| (name.as_str(), 3)).collect();
        let text = counts(&map);
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.ends_with(" 3 × operation number 9"), "{text}");
    }
}
