//! The files that `lockstep init` writes, and the one rule for those that are there: one stays as it is, whatever it holds, and where that is
//! something else than was asked for, it is said, and the installation is not ready. With `--force` it is written anew.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lockstep_core::small_file;
use serde::Serialize;

use super::{InitReport, InitRequest};
use crate::error::OperationError;

/// What `init` writes is shorter.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file that was there, stays, and holds something else than was asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct FileConflict {
    /// Which.
    pub file: PathBuf,
    /// What it holds, without any value.
    pub problem: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What to do about a file that can be written anew.
const WRITE_ANEW: &str = "--force writes it anew, or remove it";

/// Where something is written.
pub(super) struct Target {
    pub(super) file: PathBuf,
    /// Its permissions.
    pub(super) mode: u32,
    pub(super) force: bool,
}

impl Target {
    /// A file of the request's directory, which everybody may read.
    pub(super) fn of(request: &InitRequest, name: impl AsRef<Path>) -> Self {
        Self { file: request.to.join(name), mode: 0o644, force: request.force }
    }

    /// A file that was found there.
    pub(super) fn there(request: &InitRequest, file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), mode: 0o644, force: request.force }
    }
}

pub(super) fn make_directory(directory: &Path, mode: u32) -> Result<(), OperationError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(|why| OperationError::File { file: directory.to_owned(), why })
}

/// Writes a file, unless it is there and may not be replaced: `is_other` then says what it holds instead.
pub(super) fn write(
    target: &Target,
    text: &str,
    is_other: impl FnOnce(&str) -> Option<String>,
    report: &mut InitReport,
) -> Result<(), OperationError> {
    let file = &target.file;
    if target.force {
        // Another that stands there may be readable by more than may read this.
        let _ = std::fs::remove_file(file);
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(target.mode).open(file);
    match made.and_then(|mut made| made.write_all(text.as_bytes())) {
        Ok(()) => report.written.push(file.clone()),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => keep(file, is_other, report),
        Err(why) => return Err(OperationError::File { file: file.clone(), why }),
    }
    Ok(())
}

fn keep(file: &Path, is_other: impl FnOnce(&str) -> Option<String>, report: &mut InitReport) {
    let problem = match small_file::read_text(file, MAX_BYTES) {
        Ok(there) => is_other(&there),
        Err(why) => Some(format!("it cannot be read: {why}")),
    };
    report.kept.push(file.to_owned());
    report.conflicts.extend(problem.map(|problem| FileConflict { file: file.to_owned(), problem, remedy: WRITE_ANEW }));
}
