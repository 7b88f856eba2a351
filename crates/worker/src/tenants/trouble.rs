//! Why a visit did not go well.

use lockstep_core::output::code_in;
use lockstep_destinations::DestinationError;
use lockstep_schema::SourceError;

/// Whose trouble it is decides what follows: a destination's opens its circuit breaker, the source's is everybody's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The source does not answer: nothing is said of the destination.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Rows did not get through, for a reason that is said with its code in front.
    #[error("{0}")]
    Rows(String),
    /// This worker has not the key of its connection string.
    #[error("{0}")]
    Keys(String),
    /// Its connection string cannot be decrypted, or cannot be used.
    #[error("{0}")]
    Connection(String),
}

impl Trouble {
    /// In a word, for spans.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Destination(error) => error.code(),
            Self::Source(_) => "source",
            Self::Rows(_) => "rows",
            Self::Keys(_) => "keys",
            Self::Connection(_) => "connection",
        }
    }

    /// Of `docs/errors`.
    pub(super) fn code(&self) -> String {
        match self {
            Self::Destination(error) => error.code().to_owned(),
            other => code_in(&other.to_string()).unwrap_or("LS-0223").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_rows_is_the_one_that_their_text_names() {
        assert_eq!(Trouble::Rows("users: LS-0430: so many".to_owned()).code(), "LS-0430");
        assert_eq!(code_in("LS-04"), None);
        assert_eq!(code_in("nothing"), None);
    }
}
