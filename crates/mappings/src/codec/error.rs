//! What can be wrong with bytes. Never says a value.

/// A row could not be read or written. The stream it came from cannot be trusted any further, except after
/// [`CodecError::Value`], which concerns one row only.
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
}
