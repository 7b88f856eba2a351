//! Writing `RowBinary`: one row of [`crate::postgres::fetch`] in, one row of [`crate::clickhouse::insert`] out.

use lockstep_core::{SequenceId, TenancyId};
use uuid::Uuid;

use super::{CodecError, Fields};
use crate::column_type::{BaseType, ColumnType};
use crate::mapping::Mapping;

/// Fields beside the mapping's own: tenancy, project, branch, sequence, tombstone or not.
const OWN_FIELDS: usize = 5;
/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// 1900-01-01 00:00:00.000 and 2299-12-31 23:59:59.999, what `DateTime64(3)` holds, in ms since 1970 (`contract.md` §2).
const MIN_TIMESTAMP_MS: i64 = -2_208_988_800_000;
const MAX_TIMESTAMP_MS: i64 = 10_413_791_999_999;

/// What a row says about itself, for checks and cursors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowHead<'a> {
    /// Whose it is.
    pub tenancy: TenancyId,
    /// Where it goes, UTF-8.
    pub project_id: &'a [u8],
    /// Where it goes, UTF-8.
    pub branch_id: &'a [u8],
    /// Its version.
    pub sequence: SequenceId,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// Transcodes rows of one mapping.
#[derive(Clone, Debug)]
pub struct RowTranscoder {
    columns: Vec<(String, ColumnType)>,
}

impl RowTranscoder {
    /// For rows of this mapping.
    pub fn new(mapping: &Mapping) -> Self {
        Self { columns: mapping.columns.iter().map(|column| (column.name.clone(), column.column_type)).collect() }
    }

    /// Appends one row to `out`. On an error `out` is as it was before.
    ///
    /// # Errors
    /// [`CodecError`]; after [`CodecError::Value`] the next row can be tried.
    pub fn transcode<'a>(&self, fields: Fields<'a>, out: &mut Vec<u8>) -> Result<RowHead<'a>, CodecError> {
        let before = out.len();
        let written = self.read(fields, Some(out));
        if written.is_err() {
            out.truncate(before);
        }
        written
    }

    /// What a row says about itself, whatever its columns hold: for one that cannot be transcoded.
    ///
    /// # Errors
    /// [`CodecError`] where even that cannot be read.
    pub fn head<'a>(&self, fields: Fields<'a>) -> Result<RowHead<'a>, CodecError> {
        self.read(fields, None)
    }

    /// Reads a row, and appends it where it is asked for.
    fn read<'a>(&self, mut fields: Fields<'a>, mut out: Option<&mut Vec<u8>>) -> Result<RowHead<'a>, CodecError> {
        let (found, expected) = (fields.left(), self.columns.len() + OWN_FIELDS);
        if found != expected {
            return Err(CodecError::FieldCount { found, expected });
        }
        let tenancy = TenancyId::new(Uuid::from_bytes(fixed("tenancy_id", fields.next_field()?)?));
        let project_id = present("project_id", fields.next_field()?)?;
        let branch_id = present("branch_id", fields.next_field()?)?;
        if let Some(out) = &mut out {
            put_bytes(out, project_id);
            put_bytes(out, branch_id);
        }
        for (name, column_type) in &self.columns {
            let field = fields.next_field()?;
            if let Some(out) = &mut out {
                put(out, name, *column_type, field)?;
            }
        }
        let sequence = SequenceId::new(i64::from_be_bytes(fixed("sync_sequence_id", fields.next_field()?)?));
        let deleted = i16::from_be_bytes(fixed("sync_is_deleted", fields.next_field()?)?) != 0;
        if let Some(out) = out {
            out.extend_from_slice(&sequence.get().to_le_bytes());
            out.push(u8::from(deleted));
        }
        Ok(RowHead { tenancy, project_id, branch_id, sequence, deleted })
    }
}

fn wrong(column: &str, problem: &'static str) -> CodecError {
    CodecError::Value { column: column.to_owned(), problem }
}

fn present<'a>(column: &str, field: Option<&'a [u8]>) -> Result<&'a [u8], CodecError> {
    field.ok_or_else(|| wrong(column, "is null, which its type does not allow"))
}

fn fixed<const N: usize>(column: &str, field: Option<&[u8]>) -> Result<[u8; N], CodecError> {
    present(column, field)?.try_into().map_err(|_| wrong(column, "has another width than its type"))
}

fn put(out: &mut Vec<u8>, column: &str, column_type: ColumnType, field: Option<&[u8]>) -> Result<(), CodecError> {
    if column_type.nullable {
        out.push(u8::from(field.is_none()));
        if field.is_none() {
            return Ok(());
        }
    }
    match column_type.base {
        BaseType::Uuid => put_uuid(out, fixed(column, field)?),
        BaseType::Text | BaseType::LowCardinality | BaseType::Json => put_bytes(out, present(column, field)?),
        BaseType::Timestamp => {
            let millis = timestamp_millis(i64::from_be_bytes(fixed(column, field)?));
            out.extend_from_slice(&millis.to_le_bytes());
        }
        BaseType::Bool => out.extend_from_slice(&fixed::<1>(column, field)?),
        BaseType::Int32 => out.extend(fixed::<4>(column, field)?.iter().rev()),
        BaseType::Int64 | BaseType::Float64 => out.extend(fixed::<8>(column, field)?.iter().rev()),
    }
    Ok(())
}

/// ClickHouse holds a UUID as two little-endian halves.
fn put_uuid(out: &mut Vec<u8>, bytes: [u8; 16]) {
    out.extend(bytes[..8].iter().rev());
    out.extend(bytes[8..].iter().rev());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    // LEB128, as ClickHouse counts bytes.
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(bytes);
}

/// Microseconds since 2000 to milliseconds since 1970, floored and clamped. PostgreSQL sends the infinities as the
/// limits of the type, so they are clamped with everything else.
fn timestamp_millis(microseconds: i64) -> i64 {
    microseconds.saturating_add(POSTGRES_EPOCH_US).div_euclid(1000).clamp(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_floored_to_milliseconds_and_clamped_to_what_clickhouse_holds() {
        let at = |microseconds_since_1970: i64| timestamp_millis(microseconds_since_1970 - POSTGRES_EPOCH_US);
        assert_eq!(at(0), 0);
        assert_eq!(at(1_999), 1);
        assert_eq!(at(-1), -1, "floored, not cut");
        assert_eq!(at(-1_001), -2);
        assert_eq!(timestamp_millis(i64::MAX), MAX_TIMESTAMP_MS);
        assert_eq!(timestamp_millis(i64::MIN), MIN_TIMESTAMP_MS);
        assert_eq!(at(MAX_TIMESTAMP_MS * 1000 + 999), MAX_TIMESTAMP_MS);
        assert_eq!(at((MAX_TIMESTAMP_MS + 1) * 1000), MAX_TIMESTAMP_MS);
        assert_eq!(at(MIN_TIMESTAMP_MS * 1000 - 1), MIN_TIMESTAMP_MS);
    }

    #[test]
    fn lengths_are_leb128() {
        for (length, prefix) in [(0_usize, vec![0]), (127, vec![0x7f]), (128, vec![0x80, 1]), (300, vec![0xac, 2])] {
            let mut out = Vec::new();
            put_bytes(&mut out, &vec![b'x'; length]);
            assert_eq!(out[..prefix.len()], prefix);
            assert_eq!(out.len(), prefix.len() + length);
        }
    }

    #[test]
    fn a_uuid_is_two_little_endian_halves() {
        let mut out = Vec::new();
        put_uuid(&mut out, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(out, [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8]);
    }
}
