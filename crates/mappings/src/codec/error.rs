//! What can be wrong with bytes. Never says a value.

/// A row could not be read or written. The stream it came from cannot be trusted any further, except after
/// [`CodecError::Value`] and [`CodecError::TooLong`], which concern one row only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not what Postgres sends.
    #[error("the COPY stream is not as PostgreSQL documents it: {0}")]
    Stream(&'static str),
    /// A row has another number of fields than its mapping.
    #[error("a row has {found} fields, its mapping has {expected}")]
    FieldCount {
        /// In the row.
        found: usize,
        /// By the definition.
        expected: usize,
    },
    /// One row has a value that its column cannot hold.
    #[error("column {column}: {problem}")]
    Value {
        /// In the destination.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// One row has a value that is longer than values may be.
    #[error("column {column}: a value has {bytes} bytes, and LOCKSTEP_MAX_VALUE_BYTES is {limit}")]
    TooLong {
        /// In the destination.
        column: String,
        /// As Postgres sends it.
        bytes: usize,
        /// That was set.
        limit: usize,
    },
}

impl CodecError {
    /// Whether one row is at fault, and the next can be tried.
    pub const fn is_of_row(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::TooLong { .. })
    }
}
