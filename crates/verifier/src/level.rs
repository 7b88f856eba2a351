//! How closely both sides are looked at, before what differs is looked at row by row.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How closely.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// How many rows each place has, and which numbers those have that changed lately. Content is not looked at: a row with
    /// wrong values goes unnoticed.
    Versions,
    /// A hash of every row, added up by places: anything that differs is noticed.
    #[default]
    Content,
    /// Every column of every row as text, by expressions that have nothing in common with those that wrote them.
    Rows,
}

impl Level {
    /// As it is given on the command line, and written down.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Content => "content",
            Self::Rows => "rows",
        }
    }

    /// What is said where so many rows are equal: no more than what was compared.
    pub(crate) fn equal(self, rows: u64) -> String {
        match self {
            Self::Versions => format!(
                "Equal: all {rows} rows by their number at each place, and by the versions of those that changed lately. What they hold \
                 was not compared (--level versions)."
            ),
            Self::Content | Self::Rows => format!("Equal: all {rows} rows are the same on both sides."),
        }
    }
}
