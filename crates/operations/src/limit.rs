//! Up to what is counted, so that every question is bounded work.

/// Rows are counted, and changes looked through, up to this; beyond it a number is "at least".
pub(crate) const COUNT_LIMIT: i64 = 10_000;
