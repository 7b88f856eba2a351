//! Writing `RowBinary`: one row of [`crate::postgres::fetch`] in, one row of an insert into [`crate::clickhouse::raw_table`] out.

use super::array::Elements;
use super::row::{Row, fixed, present, wrong};
use super::timestamp::{day, timestamp_micros, timestamp_millis};
use super::{CodecError, decimal};
use crate::column_type::BaseType;
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
    for place in 0..mapping.columns.len() {
        put(out, mapping, place, fields.next_field()?)?;
    }
    out.extend_from_slice(&row.head.sequence.get().to_le_bytes());
    out.push(u8::from(row.head.deleted));
    Ok(())
}

/// Appends the column at `place` of the mapping.
fn put(out: &mut Vec<u8>, mapping: &Mapping, place: usize, field: Option<&[u8]>) -> Result<(), CodecError> {
    let column_type = mapping.columns[place].column_type;
    if column_type.nullable {
        out.push(u8::from(field.is_none()));
        if field.is_none() {
            return Ok(());
        }
    }
    let value = present(&mapping.columns[place].name, field)?;
    match column_type.array {
        None => put_value(out, mapping, place, value),
        Some(elements) => put_array(out, mapping, place, elements.nullable, value),
    }
}

fn put_array(
    out: &mut Vec<u8>,
    mapping: &Mapping,
    place: usize,
    nullable: bool,
    array: &[u8],
) -> Result<(), CodecError> {
    let refused = |problem| wrong(&mapping.columns[place].name, problem);
    let mut elements = Elements::of(array).map_err(refused)?;
    put_length(out, elements.left());
    while elements.left() > 0 {
        let element = elements.next_element().map_err(refused)?;
        if nullable {
            out.push(u8::from(element.is_none()));
        }
        match element {
            Some(value) => put_value(out, mapping, place, value)?,
            None if nullable => {}
            None => return Err(refused("has an element that is null, which its type does not allow")),
        }
    }
    Ok(())
}

/// Appends one value of the base type of the column at `place`.
fn put_value(out: &mut Vec<u8>, mapping: &Mapping, place: usize, value: &[u8]) -> Result<(), CodecError> {
    let column = &mapping.columns[place];
    let name = &column.name;
    match column.column_type.base {
        BaseType::Uuid => put_uuid(out, fixed(name, value)?),
        BaseType::Text
        | BaseType::LowCardinality
        | BaseType::Json
        | BaseType::Time
        | BaseType::Interval
        | BaseType::Numeric
        | BaseType::Inet
        | BaseType::Bytes => put_bytes(out, value),
        BaseType::Timestamp => {
            let millis = timestamp_millis(i64::from_be_bytes(fixed(name, value)?));
            out.extend_from_slice(&millis.to_le_bytes());
        }
        BaseType::TimestampMicros => {
            let micros = timestamp_micros(i64::from_be_bytes(fixed(name, value)?));
            out.extend_from_slice(&micros.to_le_bytes());
        }
        BaseType::Date => match day(i32::from_be_bytes(fixed(name, value)?)) {
            // Clamped, two keys would be one.
            Err(_) if mapping.key.contains(&place) => {
                return Err(wrong(name, "is a day outside 1900-01-01 to 2299-12-31, which a key cannot hold"));
            }
            Ok(day) | Err(day) => out.extend_from_slice(&day.to_le_bytes()),
        },
        BaseType::Bool => out.extend_from_slice(&fixed::<1>(name, value)?),
        BaseType::Int16 => out.extend(fixed::<2>(name, value)?.iter().rev()),
        BaseType::Int32 | BaseType::Float32 => out.extend(fixed::<4>(name, value)?.iter().rev()),
        BaseType::Int64 | BaseType::Float64 => out.extend(fixed::<8>(name, value)?.iter().rev()),
        BaseType::Decimal { precision, scale } => {
            decimal::put(out, value, precision, scale).map_err(|problem| wrong(name, problem))?;
        }
    }
    Ok(())
}

/// ClickHouse holds a UUID as two little-endian halves.
fn put_uuid(out: &mut Vec<u8>, bytes: [u8; 16]) {
    out.extend(bytes[..8].iter().rev());
    out.extend(bytes[8..].iter().rev());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// LEB128, as ClickHouse counts bytes and elements.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
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
