//! Where operators are told of events.

use std::path::PathBuf;

use super::check::{Check, given};

/// Flags about events.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct EventArgs {
    /// File that events are appended to, one JSON object a line, or - for standard output; nobody is told when empty
    #[arg(long, env = "LOCKSTEP_EVENTS_TO", value_name = "FILE|-", global = true)]
    pub(super) events_to: Option<String>,
}

/// Where events are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventsTo {
    /// On standard output.
    StandardOutput,
    /// At the end of this file.
    File(PathBuf),
}

impl EventArgs {
    pub(super) fn resolve(&self, check: &mut Check) -> Option<EventsTo> {
        let to = given(self.events_to.as_deref())?;
        if to == "-" {
            return Some(EventsTo::StandardOutput);
        }
        let file = PathBuf::from(to);
        let has_directory = file.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir());
        if !has_directory || file.is_dir() {
            check.problem(format!("LOCKSTEP_EVENTS_TO must be a file in a directory that is there, or -: {to}"));
        }
        Some(EventsTo::File(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_to_a_file_in_a_directory_that_is_there_or_to_standard_output() {
        let to = |text: &str| {
            let mut check = Check::default();
            let to = EventArgs { events_to: Some(text.to_owned()) }.resolve(&mut check);
            (to, check.problems().len())
        };
        assert_eq!(to(" "), (None, 0));
        assert_eq!(to("-"), (Some(EventsTo::StandardOutput), 0));
        assert_eq!(to("events.jsonl"), (Some(EventsTo::File("events.jsonl".into())), 0));
        assert_eq!(to("/nonexistent/events.jsonl").1, 1);
        assert_eq!(to("/").1, 1);
    }
}
