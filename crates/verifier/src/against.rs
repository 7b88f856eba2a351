//! A side against rows from elsewhere: an export of a REST API, a backup. So the mapping's own SQL is checked from outside.
//!
//! Nothing says when the file was made: a row that changed since then differs, and is told as different.

mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::TryStreamExt;
use lockstep_core::settings::Settings;
use lockstep_destinations::compare::Shape;

pub use self::report::{FileFinding, FileReport};
use crate::error::VerifyError;
use crate::file::{self, FileRows, LOCATION_FIELDS, comparable, is_absent};
use crate::finding::Shown;
use crate::judge::Kind;
use crate::merge::{Meeting, Merge, Side};
use crate::side::{OneSide, SideChoice, SideOptions};

/// What to compare a side with, and what to tell.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// One JSON object a line.
    pub file: PathBuf,
    /// Rows that it may have, at most: their keys are kept in memory.
    pub max_rows: u64,
    /// Findings that are listed; all are counted.
    pub show: usize,
    /// What of a key may be shown.
    pub shown: Shown,
}

/// Compares a mapping's rows of one tenancy with those of a file.
///
/// # Errors
/// The file is wrong, or the side could not be read: then nothing is known.
pub async fn compare_file(
    settings: &Settings,
    of: &SideOptions,
    options: &FileOptions,
) -> Result<FileReport, VerifyError> {
    let started = Instant::now();
    let side = OneSide::open(settings, of).await?;
    let mapping = &side.mapping;
    let (mut rows, contents) = FileRows::open(&options.file, mapping, options.max_rows)?;
    let shape = Shape::of(mapping);
    let mut report = FileReport::new(of, options, contents, side.neighbours);
    let mut held = side.rows();
    let mut merge = Merge::new(&shape);
    loop {
        while let Some(wanted) = merge.wants() {
            let row = match wanted {
                Side::Source => rows.next()?,
                Side::Destination => held.try_next().await?.map(|row| comparable(mapping, &row)),
            };
            report.side_rows += u64::from(wanted == Side::Destination && row.is_some());
            merge.give(wanted, row).map_err(|_| out_of_order(of))?;
        }
        let Some(meeting) = merge.meet() else { break };
        match meeting {
            Meeting::Equal => report.equal_rows += 1,
            Meeting::Missing(row) => report.differs(mapping, shape.key(row), Kind::Missing, Vec::new(), options),
            Meeting::Unexpected(row) => report.differs(mapping, shape.key(row), Kind::Unexpected, Vec::new(), options),
            Meeting::Different(row, held) => {
                let is_there = |field: &usize| !is_absent(row, *field);
                let fields = (LOCATION_FIELDS..shape.fields()).filter(is_there);
                let unlike: Vec<_> = fields.filter(|field| row.field(*field) != held.field(*field)).collect();
                let columns: Vec<_> =
                    unlike.iter().map(|field| mapping.columns[field - LOCATION_FIELDS].name.clone()).collect();
                if columns.is_empty() {
                    report.equal_rows += 1;
                } else {
                    report.differs(mapping, shape.key(row), Kind::Different, columns, options);
                }
            }
        }
    }
    report.end(started.elapsed());
    Ok(report)
}

/// Writes a mapping's rows of one tenancy to such a file, and returns how many there are.
///
/// # Errors
/// The side could not be read, or the file not be written: then there is no file.
pub async fn save_file(settings: &Settings, of: &SideOptions, file: &Path) -> Result<u64, VerifyError> {
    let side = OneSide::open(settings, of).await?;
    file::save(file, &side.mapping, side.rows()).await
}

fn out_of_order(of: &SideOptions) -> VerifyError {
    let side = if of.side == SideChoice::Source { Side::Source } else { Side::Destination };
    VerifyError::out_of_order(&of.mapping, side)
}
