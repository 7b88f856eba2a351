//! Files that hold secrets: nobody but their owner may read them.

use std::fs::File;
use std::path::Path;

use secrecy::zeroize::Zeroizing;

use crate::{core_dumps, small_file};

/// Why such a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("cannot read {file}: {why}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why not.
        why: std::io::Error,
    },
    /// Others could have what is in it.
    #[error(
        "{file} has mode {mode:04o}: others than its owner can get at it; run `chmod 600 {file}` (640 goes for a file of \
         root's)"
    )]
    Exposed {
        /// Which file.
        file: String,
        /// Its permissions.
        mode: u32,
    },
}

/// Reads a file, which nobody but its owner may read; one of root's may also be read by its group. From then on no core of this
/// process is dumped.
pub(crate) fn read(file: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let name = file.display().to_string();
    let unreadable = |why| PrivateFileError::Unreadable { file: name.clone(), why };
    let opened = small_file::open(file).map_err(unreadable)?;
    // What was opened is asked, not what may be in its place by now.
    if let Some(mode) = too_open(&opened).map_err(unreadable)? {
        return Err(PrivateFileError::Exposed { file: name, mode });
    }
    core_dumps::turn_off();
    small_file::read_text_from(opened, small_file::SECRET_BYTES).map_err(unreadable)
}

/// The lines that hold something, each with its number, counted from 1. Empty ones, and those that begin with `#`, are passed over.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The permissions of a file that others can get at, as Postgres judges its private keys: the owner may do what they want, the
/// group may read what is root's.
#[cfg(unix)]
fn too_open(file: &File) -> std::io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata()?;
    let refused = if about.uid() == 0 { 0o037 } else { 0o077 };
    Ok(Some(about.mode() & 0o7777).filter(|mode| mode & refused != 0))
}

/// Elsewhere permissions are not told in this form.
#[cfg(not(unix))]
fn too_open(_: &File) -> std::io::Result<Option<u32>> {
    Ok(None)
}
