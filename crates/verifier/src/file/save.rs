//! Writing rows of a side to a file that [`super::FileRows`] reads.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::{Stream, TryStreamExt};
use lockstep_destinations::compare::Row;
use lockstep_mappings::Mapping;

use super::error::FileError;
use super::line::LOCATION_FIELDS;
use super::{json, value};
use crate::error::VerifyError;

/// Writes them, one object a line, and returns how many. The file is there when all of it is, and only its owner can read it.
pub(crate) async fn save(
    path: &Path,
    mapping: &Mapping,
    rows: impl Stream<Item = Result<Row, VerifyError>>,
) -> Result<u64, VerifyError> {
    let part = beside(path);
    let written = write(path, &part, mapping, rows).await;
    if written.is_err() {
        // What is half written is of no use; that it cannot be removed changes nothing of why.
        let _ = std::fs::remove_file(&part);
    }
    written
}

async fn write(
    path: &Path,
    part: &Path,
    mapping: &Mapping,
    rows: impl Stream<Item = Result<Row, VerifyError>>,
) -> Result<u64, VerifyError> {
    let refused = FileError::io(path, "written");
    let mut rows = pin!(rows);
    let mut to = BufWriter::new(create(part).map_err(refused)?);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        let line = line(mapping, &row);
        let line =
            line.map_err(|column| FileError::NotWritable { file: path.to_owned(), column: column.to_owned() })?;
        to.write_all(line.as_bytes()).map_err(refused)?;
        count += 1;
    }
    let file = to.into_inner().map_err(|error| refused(error.into_error()))?;
    file.sync_all().and_then(|()| std::fs::rename(part, path)).map_err(refused)?;
    Ok(count)
}

/// One row as a line, or the name of the column whose value is none of its type.
pub(super) fn line<'m>(mapping: &'m Mapping, row: &Row) -> Result<String, &'m str> {
    let mut fields = Vec::with_capacity(mapping.columns.len());
    for (column, field) in mapping.columns.iter().zip(LOCATION_FIELDS..) {
        let text = row.field(field).map(std::str::from_utf8);
        let value = match text {
            None => Some("null".to_owned()),
            Some(Ok(text)) => value::to_json(column.column_type, text),
            Some(Err(_)) => None,
        };
        fields.push(format!("{}:{}", json::quoted(&column.name), value.ok_or(column.name.as_str())?));
    }
    Ok(format!("{{{}}}\n", fields.join(",")))
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}
