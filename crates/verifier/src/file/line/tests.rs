//! Names of columns, and what goes before what.

use lockstep_mappings::MappingSet;

use super::*;

/// The built-in mapping `users` with a second name.
fn users() -> Mapping {
    let mut mapping = MappingSet::built_in().get(&"users".parse().unwrap()).unwrap().clone();
    mapping.columns[1].alias = Some("nickname".to_owned());
    mapping
}

fn display_name(fields: &str) -> Option<String> {
    let line = format!(r#"{{"id":"00000000-0000-4000-8000-000000000001",{fields}}}"#);
    let row = LineReader::new(&users()).read(line.as_bytes()).unwrap().row;
    row.field(3).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn a_second_name_counts_where_the_first_is_not_given() {
    assert_eq!(display_name(r#""nickname":"a""#).as_deref(), Some("a"));
    assert_eq!(display_name(r#""nickname":"a","display_name":"b""#).as_deref(), Some("b"));
    assert_eq!(display_name(r#""display_name":"b","nickname":"a""#).as_deref(), Some("b"));
}

#[test]
fn what_postgres_calls_null_for_a_column_that_cannot_be_is_a_difference_and_no_error() {
    let line = br#"{"id":"00000000-0000-4000-8000-000000000001","is_anonymous":null}"#;
    let (mapping, line) = (users(), line.as_slice());
    let row = LineReader::new(&mapping).read(line).unwrap().row;
    let at = mapping.columns.iter().position(|column| column.name == "is_anonymous").unwrap();
    assert_eq!((row.field(at + LOCATION_FIELDS), is_absent(&row, at + LOCATION_FIELDS)), (None, false));
}
