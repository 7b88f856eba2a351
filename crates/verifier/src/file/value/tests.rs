//! Values of every type, the hostile ones above all.

use super::*;

fn of(name: &str) -> ColumnType {
    name.parse().unwrap()
}

fn read(name: &str, value: &str) -> Result<Option<String>, Expected> {
    canonical(of(name), serde_json::from_str(value).unwrap())
}

/// All of them are read as this.
fn expect(name: &str, values: &[&str], expected: Option<&str>) {
    for value in values {
        assert_eq!(
            read(name, value).map(|text| text.unwrap_or("NULL".into())),
            Ok(expected.unwrap_or("NULL").into()),
            "{name} {value}"
        );
    }
}

fn refuse(name: &str, values: &[&str], expected: Expected) {
    for value in values {
        assert_eq!(read(name, value), Err(expected), "{name} {value}");
    }
}

#[test]
fn null_is_null_in_every_type_but_json() {
    for base in BaseType::ALL {
        let name = base.to_string();
        let expected = (base == BaseType::Json).then_some("null");
        expect(&name, &["null"], expected);
        expect(&format!("{name}?"), &["null"], None);
        expect(&format!("{name}[]"), &["null"], None);
    }
}

#[test]
fn uuids_in_any_case() {
    let id = "0b7d3f5e-0000-4000-8000-00000000000f";
    expect(
        "uuid",
        &[&format!("\"{id}\""), &format!("\"{}\"", id.to_uppercase()), "\"0b7d3f5e00004000800000000000000F\""],
        Some(id),
    );
    refuse("uuid", &["\"\"", "1", "true", "{}", "\"0b7d3f5e-0000-4000-8000-00000000000g\"", "\"0b7d3f5e\""], "a uuid");
}

#[test]
fn texts_are_texts_and_nothing_else() {
    for name in ["text", "lc", "time", "interval", "inet"] {
        expect(name, &["\"\\u00e9\"", "\"é\""], Some("é"));
        expect(name, &["\"\""], Some(""));
        expect(name, &["\"null\""], Some("null"));
        expect(name, &["\"a\\u0000\\n\\\"\""], Some("a\0\n\""));
        refuse(name, &["1", "true", "[]", "{}", "\"\\ud800\""], "a text");
    }
}

#[test]
fn booleans() {
    expect("bool", &["true", "1"], Some("1"));
    expect("bool", &["false", "0"], Some("0"));
    refuse("bool", &["2", "\"true\"", "1.0", "[]"], "true or false");
}

#[test]
fn whole_numbers_within_their_bits() {
    expect("int16", &["-32768", "\"-32768\"", "-3.2768e4", "-32768.0"], Some("-32768"));
    expect("int64", &["9223372036854775807", "\"9223372036854775807\""], Some("9223372036854775807"));
    expect("int32", &["-0", "0.0", "\"000\""], Some("0"));
    refuse("int16", &["32768", "1.5", "1e5", "\"\"", "\"1 \"", "true", "\"0x1\""], "a whole number of 16 bits");
    refuse("int32", &["2147483648", "-2147483649"], "a whole number of 32 bits");
    refuse("int64", &["9223372036854775808", "1e1000000000", "[1]"], "a whole number of 64 bits");
}

#[test]
fn floats_bit_by_bit() {
    expect("float64", &["0.1", "1e-1", "\"0.1\"", "0.1000000000000000055"], Some("3fb999999999999a"));
    expect("float64", &["-0.0", "-0"], Some("8000000000000000"));
    expect("float64", &["\"NaN\"", "\"nan\""], Some("7ff8000000000000"));
    expect("float64", &["\"-Infinity\"", "\"-inf\""], Some("fff0000000000000"));
    expect("float64", &["5e-324"], Some("0000000000000001"));
    expect("float32", &["0.1"], Some("3dcccccd"));
    expect("float32", &["16777217"], Some("4b800000"));
    expect("float32", &["\"NaN\""], Some("7fc00000"));
    refuse("float64", &["1e400", "\"-nan\"", "\"infinity!\"", "\"\"", "true"], "a number of 64 bits");
    refuse("float32", &["3.5e38"], "a number of 32 bits");
}

/// What is read of a file is what the other side's text comes to.
fn same(name: &str, value: &str, other: &str) -> bool {
    read(name, value).unwrap().as_deref() == by_value(of(name), other).as_deref()
}

#[test]
fn decimals_and_numbers_by_value() {
    for name in ["numeric(20,4)", "numeric"] {
        for value in ["1.50", "1.5", "\"1.5000\"", "15e-1"] {
            assert!(
                same(name, value, "1.5") && same(name, value, "1.500") && !same(name, value, "1.51"),
                "{name} {value}"
            );
        }
        assert!(same(name, "-0", "0") && same(name, "1e3", "1000"));
        let long = "12345678901234567890123456789012345678.123456789";
        assert!(same(name, long, long) && !same(name, long, "12345678901234567890123456789012345678.123456788"));
        refuse(name, &["\"\"", "true", "\"1,5\"", "[]"], "a number");
    }
    assert!(same("numeric", "\"NaN\"", "NaN") && same("numeric", "\"-Infinity\"", "-Infinity"));
    refuse("numeric(20,4)", &["\"NaN\""], "a number");
    assert_eq!(read("numeric", "1e1000000000").unwrap().unwrap().len(), 12, "nothing is written out");
}

#[test]
fn moments_as_iso_8601_or_milliseconds() {
    let moment = [
        "\"2024-02-29T12:34:56.789Z\"",
        "\"2024-02-29 14:34:56.789999+02\"",
        "1709210096789",
        "1709210096789.9",
        "1.709210096789e12",
    ];
    expect("timestamp", &moment, Some("1709210096789"));
    expect("timestamp_us", &["\"2024-02-29T12:34:56.789Z\"", "1709210096789"], Some("1709210096789000"));
    expect("timestamp", &["-0.001", "\"1969-12-31T23:59:59.999999Z\""], Some("-1"));
    expect("timestamp", &["\"-infinity\"", "-1e99", "\"0001-01-01T00:00:00Z\""], Some("-2208988800000"));
    expect("timestamp", &["\"infinity\"", "1e99", "\"2300-01-01\""], Some("10413791999999"));
    expect("timestamp_us", &["\"infinity\"", "\"2300-01-01\""], Some("10413791999999999"));
    refuse("timestamp", &["\"\"", "\"1709210096789\"", "true", "\"2024-02-30\"", "[]"], "a moment");
}

#[test]
fn days() {
    expect("date", &["\"2024-02-29\"", "\"2024-02-29T00:00:00.000Z\""], Some("2024-02-29"));
    expect("date", &["\"infinity\"", "\"9999-01-01\""], Some("2299-12-31"));
    refuse("date", &["\"2024-02-29T00:00:01Z\"", "20240229", "\"2023-02-29\""], "a day");
}

#[test]
fn bytes_in_hexadecimal_digits() {
    expect("bytea", &["\"\\\\x00fF\""], Some("00ff"));
    expect("bytea", &["\"\\\\x\""], Some(""));
    refuse("bytea", &["\"00ff\"", "\"\\\\x0\"", "\"\\\\xzz\"", "1"], "bytes as \\x and hexadecimal digits");
}

#[test]
fn json_by_value_where_null_is_null() {
    assert!(same("json", r#"{"b":1.0,"a":[null]}"#, r#"{"a": [null], "b": 1}"#));
    assert!(!same("json", r#""{}""#, "{}"), "a text that looks like an object is none");
    assert!(same("json", "null", "null") && same("json?", "null", "null"), "null of JSON is NULL in a file");
    assert!(!same("json", "12345678901234567890123", "12345678901234567890124"));
}

#[test]
fn arrays_element_by_element() {
    expect("text[]", &["[]"], Some(""));
    expect("text[]", &[r#"["", "n", "é", "1:x"]"#], Some("0:1:n2:é3:1:x"));
    expect("uuid?[]", &["[null]"], Some("n"));
    refuse("int32[]", &["[2147483648]"], "a whole number of 32 bits");
    refuse("int32[]", &["1", "{}", "\"{1}\""], "an array");
    assert!(same("json[]", r#"[{"a":1}, null]"#, "8:{\"a\": 1}4:null"));
    assert!(same("json?[]", "[null]", "n") && same("json?[]", "[null]", "4:null"));
    assert!(same("numeric[]", "[1.50]", "3:1.5") && !same("numeric[]", "[1.50]", "3:1.51"));
    assert!(!same("numeric[]", "[1]", "dimensions 1:11:1"));
    assert_eq!(split("2:é3:1:x"), Some(vec![Some("é"), Some("1:x")]));
    for text in ["1:é", "2:a", "x", "99999999999999999999:a", ":", "-1:a"] {
        assert_eq!(split(text), None, "{text}");
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let texts = [
        ("uuid", "0b7d3f5e-0000-4000-8000-00000000000f"),
        ("text", "a\0\n\"\\\u{2028}é😀"),
        ("bool", "1"),
        ("int64", "-9223372036854775808"),
        ("float32", "3dcccccd"),
        ("float32", "00000001"),
        ("float64", "8000000000000000"),
        ("float64", "0000000000000001"),
        ("float64", "7fefffffffffffff"),
        ("float64", "7ff8000000000000"),
        ("float64", "fff0000000000000"),
        ("numeric(20,4)", "-0.0001"),
        ("numeric", "123456789012345678901234567890.00"),
        ("numeric", "NaN"),
        ("timestamp", "-2208988800000"),
        ("timestamp", "10413791999999"),
        ("timestamp", "-1"),
        ("timestamp_us", "951782399999999"),
        ("date", "1900-01-01"),
        ("time", "24:00:00"),
        ("interval", "-1 mons +2 days -00:00:00.000001"),
        ("json", "{\"a\":\r\n \"\\ud83d\\ude00\", \"b\": 1.00}"),
        ("json?", "null"),
        ("bytea", "00ff"),
        ("inet", "10.0.0.0/8"),
        ("json?[]", "n4:null8:{\"a\": 1}"),
        ("float64?[]", "n16:7ff8000000000000"),
        ("bytea[]", "0:4:00ff"),
    ];
    for (name, text) in texts {
        let written = to_json(of(name), text).unwrap_or("null".to_owned());
        assert!(!written.contains('\n'), "{name}: a line has one row");
        assert!(same(name, &written, text), "{name} {text:?} was written as {written}");
    }
    for (name, text) in [
        ("bool", "2"),
        ("int16", ""),
        ("json", "{"),
        ("float64", "x"),
        ("timestamp", "x"),
        ("text[]", "dimensions 1:a"),
    ] {
        assert_eq!(to_json(of(name), text), None, "{name}");
    }
}
