//! Why a destination did not do what it was asked, and what follows from it.

/// What kind of failure it was. Everything that depends on the kind is decided here, in one place each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// It cannot be reached, does not answer in time, or is starting, stopping or read-only at the moment.
    Unavailable,
    /// It answers, but has no memory, threads, disk or part slots to spare.
    Overloaded,
    /// It refuses the rows themselves.
    Rejected,
    /// Credentials, grants, tables or settings are not what Lockstep needs.
    Misconfigured,
    /// It failed in a way that Lockstep does not know.
    Unexpected,
    /// It answered more than was asked for and more than is kept in memory.
    TooLarge,
    /// It was not asked: what was to be written had been read too long ago.
    Late,
}

/// What the caller should do about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same again after a growing wait: nothing is wrong with what was asked.
    Later,
    /// Halves of the same rows, until those that are refused stand alone.
    Bisect,
    /// Nothing helps until a person acts: say so loudly, then look again now and then.
    Operator,
}

impl Failure {
    /// The code by which operators find the page about this failure.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unavailable => "LS-0201",
            Self::Overloaded => "LS-0202",
            Self::Rejected => "LS-0203",
            Self::Misconfigured => "LS-0204",
            Self::Unexpected => "LS-0205",
            Self::TooLarge => "LS-0206",
            Self::Late => "LS-0209",
        }
    }

    /// What follows from this failure. The only place that decides it.
    pub const fn retry(self) -> Retry {
        match self {
            // An unknown failure is not taken for one of the rows: bisecting would set healthy rows aside one by one.
            Self::Unavailable | Self::Overloaded | Self::Unexpected | Self::Late => Retry::Later,
            Self::Rejected => Retry::Bisect,
            Self::Misconfigured | Self::TooLarge => Retry::Operator,
        }
    }

    const fn headline(self) -> &'static str {
        match self {
            Self::Unavailable => "is not available",
            Self::Overloaded => "has no room at the moment",
            Self::Rejected => "refused rows",
            Self::Misconfigured => "does not let Lockstep do its work",
            Self::Unexpected => "failed in an unknown way",
            Self::TooLarge => "answered too much",
            Self::Late => "was not given rows",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Unavailable => {
                "It is tried again by itself. If this lasts, check that the server runs and that host and port are right."
            }
            Self::Overloaded => {
                "It is tried again by itself. If this lasts, give the server memory or disk, or look at its merges."
            }
            Self::Rejected => "The rows in question are found and set aside; compare the table with its mapping.",
            Self::Misconfigured => "Check user, password and grants, then run `lockstep migrate`.",
            Self::Unexpected => "It is tried again by itself. Look the code up in the server's log.",
            Self::TooLarge => "Ask for less at once, or read it as a stream.",
            Self::Late => {
                "They are read anew by themselves. If this lasts, give the worker a faster way or raise late_write_limit."
            }
        }
    }
}

/// Why a destination did not do what it was asked.
///
/// The text is whole: it names the cause, so there is no source to print beside it. It holds no row values, and neither
/// does its debug form; what the server said is kept only as far as it cannot quote a row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {destination} {}: {reason}", self.failure.code(), self.failure.headline())]
pub struct DestinationError {
    failure: Failure,
    destination: &'static str,
    server_code: Option<u32>,
    reason: String,
}

impl DestinationError {
    /// A failure that the destination did not number. `reason` must not hold row values or secrets.
    pub fn new(failure: Failure, destination: &'static str, reason: impl Into<String>) -> Self {
        Self { failure, destination, server_code: None, reason: reason.into() }
    }

    /// It was asked and did not answer: what was asked may have been done or not.
    pub fn unanswered(destination: &'static str) -> Self {
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
        self.failure.retry()
    }

    /// The code by which operators find the page about it, such as `LS-0201`.
    pub const fn code(&self) -> &'static str {
        self.failure.code()
    }

    /// What an operator can do about it, in a sentence or two.
    pub const fn remedy(&self) -> &'static str {
        self.failure.remedy()
    }

    /// The destination's own number for the failure: ClickHouse's exception code.
    pub const fn server_code(&self) -> Option<u32> {
        self.server_code
    }
}
