//! Rows of a file from elsewhere: one JSON object a line, in any order, read as canonical rows in the order of their keys.
//!
//! Keys and places of all lines are kept in memory, rows are not: each is read again when its turn comes.

mod error;
mod json;
mod line;
mod moment;
mod number;
mod save;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use lockstep_destinations::compare::{Row, Shape};
use lockstep_mappings::Mapping;

pub use self::error::{FileError, LineProblem};
use self::line::LineReader;
pub(crate) use self::line::{LOCATION_FIELDS, comparable, is_absent};
pub(crate) use self::save::save;

/// A longer line is an error, not memory.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// Names of fields that the mapping has not, at most.
const MAX_NAMES: usize = 20;
/// A longer name is hardly one of a field.
const MAX_NAME_BYTES: usize = 64;
const BUFFER_BYTES: usize = 256 * 1024;

/// Where a row is.
struct Entry {
    /// The bytes of its key, in the order of the comparison.
    key: Box<[u8]>,
    offset: u64,
    /// Counted from 1.
    line: u64,
}

/// What is known of a file before it is compared.
#[derive(Default, Debug)]
pub(crate) struct Contents {
    pub(crate) rows: u64,
    /// By column, how many lines lack it.
    pub(crate) absent: BTreeMap<String, u64>,
    /// Values of fields that the mapping has not.
    pub(crate) ignored: u64,
    /// The names of such fields, as far as they look like names.
    pub(crate) ignored_names: BTreeSet<String>,
}

/// The rows of a file, in the order of their keys.
pub(crate) struct FileRows<'m> {
    path: PathBuf,
    reader: BufReader<File>,
    /// Where the reader is.
    at: u64,
    lines: LineReader<'m>,
    shape: Shape,
    entries: std::vec::IntoIter<Entry>,
}

impl<'m> FileRows<'m> {
    /// Reads all of it once; every line has to be right.
    pub(crate) fn open(path: &Path, mapping: &'m Mapping, max_rows: u64) -> Result<(Self, Contents), FileError> {
        let file = File::open(path).map_err(FileError::io(path, "read"))?;
        let mut rows = Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            at: 0,
            lines: LineReader::new(mapping),
            shape: Shape::of(mapping),
            entries: Vec::new().into_iter(),
        };
        let (mut contents, mut entries, mut line) = (Contents::default(), Vec::new(), 0);
        loop {
            let offset = rows.at;
            line += 1;
            let Some(text) = rows.read_line(line)? else { break };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if contents.rows == max_rows {
                return Err(FileError::TooManyRows { file: path.to_owned(), limit: max_rows });
            }
            let found = rows.lines.read(&text).map_err(|problem| rows.wrong(line, problem))?;
            entries.push(Entry { key: rows.key(&found.row), offset, line });
            contents.add(mapping, &found.row, found.unknown);
        }
        entries.sort_unstable_by(|one, other| one.key.cmp(&other.key).then(one.line.cmp(&other.line)));
        if let Some([one, other]) = entries.array_windows().find(|[one, other]| one.key == other.key) {
            return Err(rows.wrong(other.line, LineProblem::SameKey(one.line)));
        }
        rows.entries = entries.into_iter();
        Ok((rows, contents))
    }

    /// The next row, `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, FileError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let by = i64::try_from(i128::from(entry.offset) - i128::from(self.at)).expect("no file is so large");
        self.reader.seek_relative(by).map_err(FileError::io(&self.path, "read"))?;
        self.at = entry.offset;
        let text = self.read_line(entry.line)?.unwrap_or_default();
        let row = self.lines.read(&text).ok().map(|found| found.row);
        let row = row.filter(|row| self.key(row) == entry.key);
        row.map(Some).ok_or_else(|| self.wrong(entry.line, LineProblem::Changed))
    }

    fn read_line(&mut self, line: u64) -> Result<Option<Vec<u8>>, FileError> {
        let mut text = Vec::new();
        let limited = &mut (&mut self.reader).take(MAX_LINE_BYTES);
        let read = limited.read_until(b'\n', &mut text).map_err(FileError::io(&self.path, "read"))? as u64;
        if read == MAX_LINE_BYTES && text.last() != Some(&b'\n') {
            return Err(self.wrong(line, LineProblem::TooLong(MAX_LINE_BYTES / 1024 / 1024)));
        }
        self.at += read;
        Ok((read > 0).then_some(text))
    }

    /// No text of a key has a NUL: so the whole sorts as its parts do.
    fn key(&self, row: &Row) -> Box<[u8]> {
        self.shape.key_bytes(row).collect::<Vec<_>>().join(&0).into()
    }

    fn wrong(&self, line: u64, problem: LineProblem) -> FileError {
        FileError::Line { file: self.path.clone(), line, problem }
    }
}

impl Contents {
    fn add(&mut self, mapping: &Mapping, row: &Row, unknown: Vec<String>) {
        self.rows += 1;
        let columns = mapping.columns.iter().zip(LOCATION_FIELDS..);
        for (column, _) in columns.filter(|(_, field)| is_absent(row, *field)) {
            *self.absent.entry(column.name.clone()).or_default() += 1;
        }
        self.ignored += unknown.len() as u64;
        let is_name = |name: &String| {
            name.len() <= MAX_NAME_BYTES
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        for name in unknown.into_iter().filter(is_name) {
            if self.ignored_names.len() < MAX_NAMES {
                self.ignored_names.insert(name);
            }
        }
    }

    /// Whether some lines lack a column that others have.
    pub(crate) fn is_ragged(&self) -> bool {
        self.absent.values().any(|lines| *lines < self.rows)
    }
}

#[cfg(test)]
mod tests;
