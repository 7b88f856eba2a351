//! Which source database it is, as its server tells.

use std::fmt;

/// What tells one history of a database from another. The same identity does not prove the same history: a copy of a
/// data directory that is put back has it too (SRC-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceIdentity {
    /// Drawn when the cluster was initialised (`pg_control_system`).
    pub system_identifier: String,
    /// Grows when a standby is promoted or a point in time is recovered (`pg_control_checkpoint`).
    pub timeline: u32,
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system {} on timeline {}", self.system_identifier, self.timeline)
    }
}
