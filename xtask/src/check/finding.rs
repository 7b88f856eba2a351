//! Something that a check has found.

use std::fmt;

/// Where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Relative to the workspace.
    pub(super) file: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: String,
    pub(super) remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.what, self.remedy)
    }
}
