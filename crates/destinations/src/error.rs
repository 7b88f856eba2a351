//! Why a destination did not do what it was asked.

use lockstep_core::DestinationId;

pub use crate::error_policy::{Failure, Retry};

/// Why a destination did not do what it was asked.
///
/// The text is whole: it names the cause, so there is no source to print beside it. It holds no row values, and neither
/// does its debug form; what the server said is kept only as far as it cannot quote a row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {destination} {}: {reason}", self.code(), self.failure.policy().headline)]
pub struct DestinationError {
    failure: Failure,
    destination: DestinationId,
    server_code: Option<u32>,
    reason: String,
}

impl DestinationError {
    /// A failure that the destination did not number. `reason` must not hold row values or secrets.
    pub fn new(failure: Failure, destination: impl Into<DestinationId>, reason: impl Into<String>) -> Self {
        Self { failure, destination: destination.into(), server_code: None, reason: reason.into() }
    }

    /// It was asked and did not answer: what was asked may have been done or not.
    pub fn unanswered(destination: impl Into<DestinationId>) -> Self {
        Self::new(Failure::Unavailable, destination, "it did not answer")
    }

    /// The same failure, with the destination's own number for it.
    #[must_use]
    pub fn with_server_code(mut self, code: u32) -> Self {
        self.server_code = Some(code);
        self
    }

    /// What kind of failure it was.
    pub const fn failure(&self) -> Failure {
        self.failure
    }

    /// What the caller should do about it.
    pub const fn retry(&self) -> Retry {
        self.failure.policy().retry
    }

    /// The code by which operators find the page about it, such as `LS-0201`.
    pub const fn code(&self) -> &'static str {
        self.failure.policy().code
    }

    /// What an operator can do about it, in a sentence or two.
    pub const fn remedy(&self) -> &'static str {
        self.failure.policy().remedy
    }

    /// The destination's own number for the failure: ClickHouse's exception code.
    pub const fn server_code(&self) -> Option<u32> {
        self.server_code
    }
}
