//! Writing binary `COPY` for a tenant's own Postgres: one row of [`crate::postgres::fetch`] in, one row of a `COPY` into the
//! tables of [`crate::tenant`] out.

use super::array::Elements;
use super::row::{Row, fixed, present, wrong};
use super::timestamp::{postgres_day, postgres_micros, postgres_millis};
use super::{CodecError, decimal};
use crate::column_type::BaseType;
use crate::mapping::Mapping;

/// What a stream begins with: signature, flags, and no header extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a stream ends with.
pub const COPY_TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// The only version of `jsonb` on the wire (`jsonb_recv`).
const JSONB_VERSION: u8 = 1;
/// Days from the first of the Julian period to 2000-01-01 (`POSTGRES_EPOCH_JDATE`).
const EPOCH_JULIAN: i64 = 2_451_545;

/// Appends one row of this mapping to `out`: its columns, in order. On an error `out` is as it was before.
///
/// # Errors
/// [`CodecError`]; after [`CodecError::Value`] the next row can be tried.
pub fn append_copy_row(mapping: &Mapping, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    appended(out, |out| append(mapping, row, out, |_| true, mapping.columns.len()))
}

/// Appends the key of one row of this mapping to `out`, in the order of the mapping's columns. On an error `out` is as it was
/// before.
///
/// # Errors
/// [`CodecError`]; after [`CodecError::Value`] the next row can be tried.
pub fn append_copy_key(mapping: &Mapping, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    appended(out, |out| append(mapping, row, out, |place| mapping.key.contains(&place), mapping.key.len()))
}

/// The key of a row as text that Postgres reads back as exactly this key, in the order of the key's columns.
///
/// # Errors
/// [`CodecError`] where the row is not one of this mapping.
pub fn key_texts(mapping: &Mapping, row: &Row<'_>) -> Result<Vec<String>, CodecError> {
    let mut fields = row.columns();
    let mut values = Vec::with_capacity(mapping.columns.len());
    for column in &mapping.columns {
        values.push((column, fields.next_field()?));
    }
    let one = |&place: &usize| {
        let (column, field) = values[place];
        text(&column.name, column.column_type.base, present(&column.name, field)?)
    };
    mapping.key.iter().map(one).collect()
}

fn text(name: &str, base: BaseType, value: &[u8]) -> Result<String, CodecError> {
    Ok(match base {
        BaseType::Uuid => uuid::Uuid::from_bytes(fixed(name, value)?).to_string(),
        BaseType::Int16 => i16::from_be_bytes(fixed(name, value)?).to_string(),
        BaseType::Int32 => i32::from_be_bytes(fixed(name, value)?).to_string(),
        BaseType::Int64 => i64::from_be_bytes(fixed(name, value)?).to_string(),
        BaseType::Date => match i32::from_be_bytes(fixed(name, value)?) {
            i32::MIN => "-infinity".to_owned(),
            i32::MAX => "infinity".to_owned(),
            // A Julian day, which Postgres reads whatever the year is.
            days => format!("J{}", i64::from(days) + EPOCH_JULIAN),
        },
        _ => std::str::from_utf8(value).map_err(|_| wrong(name, "is no text in UTF-8"))?.to_owned(),
    })
}

fn appended(out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>) -> Result<(), CodecError> {
    let before = out.len();
    let appended = append(out);
    if appended.is_err() {
        out.truncate(before);
    }
    appended
}

fn append(
    mapping: &Mapping,
    row: &Row<'_>,
    out: &mut Vec<u8>,
    wanted: impl Fn(usize) -> bool,
    count: usize,
) -> Result<(), CodecError> {
    let count = i16::try_from(count).map_err(|_| CodecError::Stream("a row has too many columns"))?;
    out.extend(count.to_be_bytes());
    let mut fields = row.columns();
    for place in 0..mapping.columns.len() {
        let field = fields.next_field()?;
        if wanted(place) {
            put(out, mapping, place, field)?;
        }
    }
    Ok(())
}

/// Appends the column at `place` of the mapping.
fn put(out: &mut Vec<u8>, mapping: &Mapping, place: usize, field: Option<&[u8]>) -> Result<(), CodecError> {
    let column = &mapping.columns[place];
    if field.is_none() && column.column_type.nullable {
        out.extend((-1_i32).to_be_bytes());
        return Ok(());
    }
    let value = present(&column.name, field)?;
    with_length(out, &column.name, |out| match column.column_type.array {
        None => put_value(out, mapping, place, value),
        Some(elements) => put_array(out, mapping, place, elements.nullable, value),
    })
}

/// Appends what `put` appends with its length in front.
fn with_length(
    out: &mut Vec<u8>,
    name: &str,
    put: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let start = out.len();
    out.extend([0; 4]);
    put(out)?;
    let length = i32::try_from(out.len() - start - 4).map_err(|_| wrong(name, "is longer than a field can be"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends an array of one dimension that begins at 1, as `array_recv` takes it.
fn put_array(
    out: &mut Vec<u8>,
    mapping: &Mapping,
    place: usize,
    nullable: bool,
    array: &[u8],
) -> Result<(), CodecError> {
    let column = &mapping.columns[place];
    let refused = |problem| wrong(&column.name, problem);
    let mut elements = Elements::of(array).map_err(refused)?;
    let count = elements.left();
    let dimensions = i32::from(count > 0);
    out.extend(dimensions.to_be_bytes());
    out.extend(i32::from(nullable).to_be_bytes());
    out.extend(column.column_type.base.element_oid().to_be_bytes());
    if count > 0 {
        let count = i32::try_from(count).map_err(|_| refused("has too many elements"))?;
        out.extend(count.to_be_bytes());
        out.extend(1_i32.to_be_bytes());
    }
    while elements.left() > 0 {
        match elements.next_element().map_err(refused)? {
            Some(value) => with_length(out, &column.name, |out| put_value(out, mapping, place, value))?,
            None if nullable => out.extend((-1_i32).to_be_bytes()),
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
        BaseType::Text
        | BaseType::LowCardinality
        | BaseType::Time
        | BaseType::Interval
        | BaseType::Numeric
        | BaseType::Inet
        | BaseType::Bytes => out.extend_from_slice(value),
        BaseType::Json => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(value);
        }
        BaseType::Timestamp => {
            out.extend(postgres_millis(i64::from_be_bytes(fixed(name, value)?)).to_be_bytes());
        }
        BaseType::TimestampMicros => {
            out.extend(postgres_micros(i64::from_be_bytes(fixed(name, value)?)).to_be_bytes());
        }
        BaseType::Date => match postgres_day(i32::from_be_bytes(fixed(name, value)?)) {
            // Clamped, two keys would be one.
            Err(_) if mapping.key.contains(&place) => {
                return Err(wrong(name, "is a day outside 1900-01-01 to 2299-12-31, which a key cannot hold"));
            }
            Ok(day) | Err(day) => out.extend(day.to_be_bytes()),
        },
        BaseType::Bool => out.extend(fixed::<1>(name, value)?),
        BaseType::Int16 => out.extend(fixed::<2>(name, value)?),
        BaseType::Int32 | BaseType::Float32 => out.extend(fixed::<4>(name, value)?),
        BaseType::Int64 | BaseType::Float64 => out.extend(fixed::<8>(name, value)?),
        BaseType::Uuid => out.extend(fixed::<16>(name, value)?),
        BaseType::Decimal { precision, scale } => {
            // Postgres would round what has more digits than the column; here as in ClickHouse it is refused.
            decimal::put(&mut Vec::new(), value, precision, scale).map_err(|problem| wrong(name, problem))?;
            out.extend_from_slice(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_that_postgres_reads_back() {
        let of = |base, bytes: &[u8]| text("k", base, bytes).unwrap();
        assert_eq!(of(BaseType::Uuid, &[1; 16]), "01010101-0101-0101-0101-010101010101");
        assert_eq!(of(BaseType::Int16, &(-3_i16).to_be_bytes()), "-3");
        assert_eq!(of(BaseType::Date, &0_i32.to_be_bytes()), "J2451545");
        assert_eq!(of(BaseType::Date, &i32::MAX.to_be_bytes()), "infinity");
        assert_eq!(of(BaseType::Text, "a'é\\".as_bytes()), "a'é\\");
        assert!(text("k", BaseType::Text, &[0xff]).is_err());
        assert!(text("k", BaseType::Uuid, &[1; 15]).is_err());
    }
}
