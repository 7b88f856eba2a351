//! The codec against its own definition of both formats: every row that Postgres can send arrives field by field, and
//! bytes that Postgres cannot send are refused, never read past.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use lockstep_mappings::codec::{CodecError, CopyReader, Fields, Row, RowHead, append_row_binary};
use lockstep_mappings::{Mapping, MappingSet};
use proptest::prelude::*;

const DEFINITION: &str = r#"name = "things"
table = "Thing"
tenant = { column = "tenancyId" }
key = ["id"]
columns = [
  { name = "id", type = "uuid", column = "id" },
  { name = "label", type = "text?", column = "label" },
  { name = "count", type = "int64", column = "count" },
  { name = "small", type = "int32?", column = "small" },
  { name = "yes", type = "bool", column = "yes" },
]
"#;

fn mapping() -> Mapping {
    let set = MappingSet::from_texts(&[("things.toml".into(), DEFINITION.into())]).unwrap();
    set.iter().next().unwrap().clone()
}

/// From the one format to the other.
fn transcode<'a>(mapping: &Mapping, fields: Fields<'a>, out: &mut Vec<u8>) -> Result<RowHead<'a>, CodecError> {
    let row = Row::read(fields, mapping)?;
    append_row_binary(mapping, &row, out)?;
    Ok(row.head)
}

#[derive(Clone, Debug)]
struct Thing {
    tenancy: [u8; 16],
    project: String,
    id: [u8; 16],
    label: Option<String>,
    count: i64,
    small: Option<i32>,
    yes: bool,
    sequence: i64,
    deleted: bool,
}

prop_compose! {
    fn things()(tenancy: [u8; 16], project in ".{0,200}", id: [u8; 16], label in proptest::option::of(".{0,300}"),
        count: i64, small: Option<i32>, yes: bool, sequence: i64, deleted: bool) -> Thing {
        Thing { tenancy, project, id, label, count, small, yes, sequence, deleted }
    }
}

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.extend((-1_i32).to_be_bytes()),
        Some(bytes) => {
            out.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
            out.extend(bytes);
        }
    }
}

fn header() -> Vec<u8> {
    [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat()
}

fn as_copy(thing: &Thing) -> Vec<u8> {
    let mut row = 10_i16.to_be_bytes().to_vec();
    field(&mut row, Some(&thing.tenancy));
    field(&mut row, Some(thing.project.as_bytes()));
    field(&mut row, Some(b"main"));
    field(&mut row, Some(&thing.id));
    field(&mut row, thing.label.as_ref().map(String::as_bytes));
    field(&mut row, Some(&thing.count.to_be_bytes()));
    field(&mut row, thing.small.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
    field(&mut row, Some(&[u8::from(thing.yes)]));
    field(&mut row, Some(&thing.sequence.to_be_bytes()));
    field(&mut row, Some(&i16::from(thing.deleted).to_be_bytes()));
    row
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    while length > 127 {
        out.push(u8::try_from(length % 128).unwrap() + 128);
        length /= 128;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend(text);
}

fn as_row_binary(thing: &Thing) -> Vec<u8> {
    let mut row = Vec::new();
    string(&mut row, thing.project.as_bytes());
    string(&mut row, b"main");
    let id = u128::from_be_bytes(thing.id);
    row.extend(u64::try_from(id >> 64).unwrap().to_le_bytes());
    row.extend(u64::try_from(id & u128::from(u64::MAX)).unwrap().to_le_bytes());
    row.push(u8::from(thing.label.is_none()));
    if let Some(label) = &thing.label {
        string(&mut row, label.as_bytes());
    }
    row.extend(thing.count.to_le_bytes());
    row.push(u8::from(thing.small.is_none()));
    row.extend(thing.small.iter().flat_map(|small| small.to_le_bytes()));
    row.push(u8::from(thing.yes));
    row.extend(thing.sequence.to_le_bytes());
    row.push(u8::from(thing.deleted));
    row
}

proptest! {
    #[test]
    fn every_row_arrives_field_by_field(things in prop::collection::vec(things(), 1..20)) {
        let (mapping, mut reader, mut out, mut seen) = (mapping(), CopyReader::default(), Vec::new(), Vec::new());
        let mut messages: Vec<Vec<u8>> = things.iter().map(as_copy).collect();
        messages[0] = [header(), messages[0].clone()].concat();
        messages.push((-1_i16).to_be_bytes().to_vec());
        for message in &messages {
            reader.rows::<CodecError>(message, |fields| {
                let head = transcode(&mapping, fields, &mut out)?;
                seen.push((head.sequence.get(), head.deleted, head.project_id.to_vec()));
                Ok(())
            }).unwrap();
        }
        prop_assert!(reader.is_complete());
        let expected: Vec<u8> = things.iter().flat_map(as_row_binary).collect();
        prop_assert_eq!(out, expected);
        let heads: Vec<_> = things.iter().map(|thing| (thing.sequence, thing.deleted, thing.project.as_bytes().to_vec())).collect();
        prop_assert_eq!(seen, heads);
    }

    #[test]
    fn bytes_that_are_no_copy_are_refused_or_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (mapping, mut reader, mut out) = (mapping(), CopyReader::default(), Vec::new());
        let message = [header(), bytes].concat();
        let _ = reader.rows::<CodecError>(&message, |fields| transcode(&mapping, fields, &mut out).map(|_| ()));
    }

    #[test]
    fn a_row_that_is_cut_is_refused(thing in things(), cut in 1_usize..40) {
        let (mapping, mut reader, mut out) = (mapping(), CopyReader::default(), Vec::new());
        let row = as_copy(&thing);
        let message = [header(), row[..row.len() - cut.min(row.len() - 2)].to_vec()].concat();
        let read = reader.rows::<CodecError>(&message, |fields| transcode(&mapping, fields, &mut out).map(|_| ()));
        prop_assert!(read.is_err());
        prop_assert!(out.is_empty());
    }
}

#[test]
fn a_null_where_none_is_allowed_is_said_by_column_and_writes_nothing() {
    let mut row = 10_i16.to_be_bytes().to_vec();
    field(&mut row, Some(&[1; 16]));
    field(&mut row, Some(b"p"));
    field(&mut row, Some(b"main"));
    for _ in 0..5 {
        field(&mut row, None);
    }
    field(&mut row, Some(&1_i64.to_be_bytes()));
    field(&mut row, Some(&0_i16.to_be_bytes()));
    let (mapping, mut reader, mut out) = (mapping(), CopyReader::default(), Vec::new());
    let message = [header(), row].concat();
    let read = reader.rows::<CodecError>(&message, |fields| transcode(&mapping, fields, &mut out).map(|_| ()));
    assert_eq!(read.unwrap_err().to_string(), "column id: is null, which its type does not allow");
    assert!(out.is_empty());
}

#[test]
fn a_value_that_is_longer_than_its_limit_is_named_by_column_alone() {
    let mut row = 10_i16.to_be_bytes().to_vec();
    let (small, count) = (7_i32.to_be_bytes(), 7_i64.to_be_bytes());
    let columns = [Some(&[1; 16][..]), Some(b"hunter2"), Some(&count), Some(&small), Some(&[1])];
    for field_of_row in [Some(&[1; 16][..]), Some(b"p"), Some(b"main")].into_iter().chain(columns) {
        field(&mut row, field_of_row);
    }
    field(&mut row, Some(&1_i64.to_be_bytes()));
    field(&mut row, Some(&0_i16.to_be_bytes()));
    let (mapping, message) = (mapping(), [header(), row].concat());
    let fits = |limit| {
        CopyReader::default().rows::<CodecError>(&message, |fields| Row::read(fields, &mapping)?.fits(&mapping, limit))
    };
    assert_eq!(fits(16), Ok(()));
    let error = fits(15).unwrap_err();
    assert!(error.is_of_row());
    assert_eq!(error.to_string(), "column id: a value has 16 bytes, and LOCKSTEP_MAX_VALUE_BYTES is 15");
}
