//! Writing `RowBinary`: one row of [`crate::postgres::fetch`] in, one row of an insert into [`crate::clickhouse::raw_table`] out.

use super::CodecError;
use super::row::{Row, fixed, present};
use super::timestamp::timestamp_millis;
use crate::column_type::{BaseType, ColumnType};
use crate::mapping::Mapping;

/// Appends one row of this mapping to `out`. On an error `out` is as it was before.
///
/// # Errors
/// [`CodecError`]; after [`CodecError::Value`] the next row can be tried.
pub fn append_row_binary(mapping: &Mapping, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = out.len();
    let appended = append(mapping, row, out);
    if appended.is_err() {
        out.truncate(before);
    }
    appended
}

fn append(mapping: &Mapping, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    put_bytes(out, row.head.project_id);
    put_bytes(out, row.head.branch_id);
    let mut fields = row.columns();
    for column in &mapping.columns {
        put(out, &column.name, column.column_type, fields.next_field()?)?;
    }
    out.extend_from_slice(&row.head.sequence.get().to_le_bytes());
    out.push(u8::from(row.head.deleted));
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

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
