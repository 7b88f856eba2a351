//! The one table from a destination's failure to what is done about it.

/// What kind of failure it was, whatever the destination calls it.
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
    /// It is of a version that lacks what Lockstep needs.
    Outdated,
    /// It does not let settings be changed that statements depend on.
    Constrained,
    /// It failed in a way that Lockstep does not know.
    Unexpected,
    /// It answered more than was asked for and more than is kept in memory.
    TooLarge,
    /// It was not asked: what was to be written had been read too long ago.
    Late,
    /// It holds something else than it did when what was to be written was read: nothing was written.
    Moved,
    /// It was not connected to: its address is one that Lockstep must not reach.
    Forbidden,
}

/// What the caller does about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same again after a growing wait, for as long as it takes: nothing is wrong with what was asked. No attempt is
    /// counted.
    Later,
    /// The same again, a limited number of times: what was asked may be at fault. Then it is set aside for a person.
    Limited,
    /// Halves of the same rows, until those that are refused stand alone.
    Bisect,
    /// As [`Retry::Limited`], but nothing helps until a person acts.
    Operator,
}

/// What follows from a kind of failure.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The code by which operators find the page about it.
    pub code: &'static str,
    /// What the caller does.
    pub retry: Retry,
    /// The predicate of a sentence about the destination.
    pub headline: &'static str,
    /// What an operator can do, in a sentence or two.
    pub remedy: &'static str,
}

impl Failure {
    /// What follows from this failure.
    #[expect(clippy::too_many_lines, reason = "a table, with a row for each failure")]
    pub const fn policy(self) -> Policy {
        let (code, retry, headline, remedy) = match self {
            Self::Unavailable => (
                "LS-0201",
                Retry::Later,
                "is not available",
                "It is tried again by itself. If this lasts, check that the server runs and that host and port are right.",
            ),
            Self::Overloaded => (
                "LS-0202",
                Retry::Later,
                "has no room at the moment",
                "It is tried again by itself. If this lasts, give the server memory or disk, or look at its merges.",
            ),
            Self::Rejected => (
                "LS-0203",
                Retry::Bisect,
                "refused rows",
                "The rows in question are found and set aside; compare the table with its mapping.",
            ),
            Self::Misconfigured => (
                "LS-0204",
                Retry::Operator,
                "does not let Lockstep do its work",
                "Check user, password and grants, then run `lockstep migrate`.",
            ),
            Self::Outdated => {
                ("LS-0207", Retry::Operator, "is too old", "Upgrade the server; nothing is written to it before.")
            }
            Self::Constrained => (
                "LS-0210",
                Retry::Operator,
                "would take statements for something else",
                "Give Lockstep's user a profile of its own that leaves these settings free; nothing is read or written before.",
            ),
            // It is not taken for a failure of the rows: bisecting would set healthy rows aside one by one.
            Self::Unexpected => (
                "LS-0205",
                Retry::Limited,
                "failed in an unknown way",
                "It is tried again by itself. Look the code up in the server's log.",
            ),
            Self::TooLarge => {
                ("LS-0206", Retry::Operator, "answered too much", "Ask for less at once, or read it as a stream.")
            }
            Self::Late => (
                "LS-0209",
                Retry::Later,
                "was not given rows",
                "They are read anew by themselves. If this lasts, give the worker a faster way or raise late_write_limit.",
            ),
            Self::Moved => (
                "LS-0211",
                Retry::Later,
                "has moved on since what was to be written was read",
                "Its cursors are read again and the rows read anew, by themselves. If this lasts, look who else writes there.",
            ),
            Self::Forbidden => (
                "LS-0212",
                Retry::Operator,
                "may not be connected to",
                "Use an address that is public, or allow its range with LOCKSTEP_DESTINATION_ALLOW.",
            ),
        };
        Policy { code, retry, headline, remedy }
    }
}
