//! A place in the one global order of changes.

use std::fmt;

/// A value of the sequence `lockstep.sequence`. Commit order is sequence order (SEQ-1).
///
/// [`SequenceId::BASE`] (zero) is the version of rows that were there before capture, and the cursor of a destination
/// that holds nothing yet; the sequence itself only hands out values above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SequenceId(i64);

impl SequenceId {
    /// The version of rows that no pass has numbered.
    pub const BASE: Self = Self(0);

    /// Wraps a number that the sequence gave out.
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// The value as Postgres and ClickHouse hold it.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
