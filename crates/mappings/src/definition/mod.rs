//! Definition files: `raw` is what TOML says, `check` turns it into a [`Mapping`](crate::Mapping) or says what is wrong,
//! `draft` writes one from a live table.

mod check;
mod draft;
mod raw;

use std::fmt;

pub(crate) use check::parse_definition;
pub use draft::{Draft, DraftError, DraftRequest, LeftOut, draft};

/// One thing that is wrong in a definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefinitionError {
    /// The file.
    pub file: String,
    /// Counted from 1; 0 where it is no file.
    pub line: usize,
    /// The column it is about, where it is about one.
    pub column: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl DefinitionError {
    /// What is wrong with a file as a whole.
    pub(crate) fn of_file(file: String, problem: String, remedy: &str) -> Self {
        Self { file, line: 1, column: None, problem, remedy: remedy.to_owned() }
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}: ", self.file)?,
        }
        if let Some(column) = &self.column {
            write!(f, "column {column}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// All that is wrong, in all definitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefinitionErrors(pub Vec<DefinitionError>);

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LS-0002: mapping definitions are wrong:")?;
        for error in &self.0 {
            write!(f, "\n  - {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionErrors {}
