//! What is wrong with a file, without a value of it.

use std::path::{Path, PathBuf};

use lockstep_core::exit;

/// Why a file could not be compared, or not be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A line is not what it has to be.
    #[error("LS-0330: line {line} of {} cannot be read: {problem}; nothing was compared", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The operating system refused.
    #[error("LS-0331: {} cannot be {doing}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// Its keys would take more memory than is given.
    #[error(
        "LS-0332: {} has more than {limit} rows, whose keys are kept in memory; allow more with --max-rows, or compare a part",
        file.display()
    )]
    TooManyRows {
        /// The file.
        file: PathBuf,
        /// What is accepted.
        limit: u64,
    },
    /// A side holds what no such file can.
    #[error("LS-0334: a row cannot be written to {}: its {column} is no value of its type; `lockstep-verifier` tells of it", file.display())]
    NotWritable {
        /// The file.
        file: PathBuf,
        /// Of the mapping.
        column: String,
    },
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineProblem {
    /// It is something else, or cut.
    #[error("it is no object of JSON")]
    NoObject,
    /// It has no end for too long.
    #[error("it is longer than {0} MiB")]
    TooLong(u64),
    /// A value does not fit its column.
    #[error("{column} is not {expected}")]
    Value {
        /// Of the mapping.
        column: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A column of the key is not there, or null.
    #[error("{0} is missing, which is part of the key")]
    NoKey(String),
    /// Nobody could say which of the two is meant.
    #[error("it has the key of line {0}")]
    SameKey(u64),
    /// It was read before, and is another line now.
    #[error("the file was changed while it was compared")]
    Changed,
}

impl FileError {
    pub(super) fn io(file: &Path, doing: &'static str) -> impl Fn(std::io::Error) -> Self + Copy {
        move |error| Self::Io { file: file.to_owned(), doing, error }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::TooManyRows { .. } => exit::CONFIGURATION,
            Self::Line { .. } | Self::NotWritable { .. } => exit::UNFINISHED,
        }
    }
}
