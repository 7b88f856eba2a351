//! Every type of a definition, with source types that it takes, hostile values, and what ClickHouse shows of each.

/// A column of the source.
pub(crate) struct Case {
    /// In the source and in ClickHouse.
    pub(crate) name: &'static str,
    /// In the source.
    pub(crate) source: &'static str,
    /// In the definition, without `?`.
    pub(crate) column_type: &'static str,
    /// Values as Postgres reads them, and as ClickHouse prints them (TSV). The first is an ordinary one; all other columns
    /// are nullable, too: null is one of their values.
    pub(crate) values: &'static [(&'static str, &'static str)],
    /// An expression of ClickHouse that makes another value of the ordinary one, `{}`: the slightest that there is.
    pub(crate) defect: &'static str,
}

/// How ClickHouse is asked for a value, where its own text would be no UTF-8.
pub(crate) fn shown(column_type: &str, value: &str) -> String {
    if column_type == "bytea" { format!("hex({value})") } else { value.to_owned() }
}

const fn case(
    name: &'static str,
    source: &'static str,
    column_type: &'static str,
    values: &'static [(&'static str, &'static str)],
    defect: &'static str,
) -> Case {
    Case { name, source, column_type, values, defect }
}

const NINES_76: &str = "99999999999999999999999999999999999999.99999999999999999999999999999999999999";
const NINES_80: &str = "99999999999999999999999999999999999999999999999999999999999999999999999999999999";

#[rustfmt::skip] // a table is read by its columns
pub(crate) const CASES: &[Case] = &[
    case("an_int16", "smallint", "int16", &[("7", "7"), ("-32768", "-32768"), ("32767", "32767")], "toInt16({} + 1)"),
    case("an_int32", "integer", "int32", &[("7", "7"), ("-2147483648", "-2147483648"), ("2147483647", "2147483647")], "toInt32({} + 1)"),
    case("an_int64", "bigint", "int64", &[("7", "7"), ("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")], "{} + 1"),
    case("a_float32", "real", "float32", &[
        ("0.1", "0.1"), ("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("0", "0"), ("-0", "-0"), ("1e-45", "1e-45"), ("3.4028235e38", "3.4028235e38"),
    ], "toFloat32({} + 1e-8)"),
    case("a_float64", "double precision", "float64", &[
        ("0.1", "0.1"), ("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("-0", "-0"), ("0", "0"), ("5e-324", "5e-324"), ("1.7976931348623157e308", "1.7976931348623157e308"),
    ], "{} + 2e-17"),
    case("money", "numeric(20,4)", "numeric(20,4)", &[
        ("1.5", "1.5"), ("9999999999999999.9999", "9999999999999999.9999"), ("-9999999999999999.9999", "-9999999999999999.9999"), ("0.0001", "0.0001"), ("-0.0001", "-0.0001"), ("0", "0"), ("10000", "10000"),
    ], "{} + toDecimal128('0.0001', 4)"),
    case("small", "numeric(9,9)", "numeric(9,9)", &[("0.123456789", "0.123456789"), ("-0.999999999", "-0.999999999")], "{} + toDecimal32('0.000000001', 9)"),
    case("long", "numeric(18)", "numeric(18,0)", &[("12345678", "12345678"), ("-999999999999999999", "-999999999999999999")], "{} + toDecimal64('1', 0)"),
    case("widest", "numeric(76,38)", "numeric(76,38)", &[
        ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"), (NINES_76, NINES_76),
    ], "{} + toDecimal256('0.00000000000000000000000000000000000001', 38)"),
    case("whole", "integer", "numeric(12,2)", &[("5", "5"), ("-2147483648", "-2147483648")], "{} + toDecimal64('0.01', 2)"),
    case("any_number", "numeric", "numeric", &[
        ("1.50", "1.50"), ("1.5", "1.5"), ("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), (NINES_80, NINES_80), ("1e-20", "0.00000000000000000001"),
    ], "'1.5'"),
    case("a_day", "date", "date", &[
        ("2024-02-29", "2024-02-29"), ("infinity", "2299-12-31"), ("-infinity", "1900-01-01"), ("1899-12-31", "1900-01-01"), ("1900-01-01", "1900-01-01"), ("0044-03-15 BC", "1900-01-01"), ("2299-12-31", "2299-12-31"), ("5000000-01-01", "2299-12-31"),
    ], "addDays({}, 1)"),
    case("a_time", "time", "time", &[("12:34:56.789012", "12:34:56.789012"), ("00:00:00", "00:00:00"), ("24:00:00", "24:00:00")], "'12:34:56.789013'"),
    case("a_moment", "timestamp", "timestamp", &[
        ("2024-02-29 12:34:56.789012", "2024-02-29 12:34:56.789"), ("infinity", "2299-12-31 23:59:59.999"), ("-infinity", "1900-01-01 00:00:00.000"), ("1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999"),
    ], "addMilliseconds({}, 1)"),
    case("a_micro", "timestamp", "timestamp_us", &[
        ("2024-02-29 12:34:56.789012", "2024-02-29 12:34:56.789012"), ("infinity", "2299-12-31 23:59:59.999999"), ("-infinity", "1900-01-01 00:00:00.000000"), ("1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999"), ("2299-12-31 23:59:59.999999", "2299-12-31 23:59:59.999999"),
    ], "addMicroseconds({}, 1)"),
    case("a_zoned", "timestamptz", "timestamp_us", &[
        ("2024-02-29 12:34:56.789012+02", "2024-02-29 10:34:56.789012"), ("1899-12-31 23:59:59.999999+00", "1900-01-01 00:00:00.000000"), ("infinity", "2299-12-31 23:59:59.999999"),
    ], "addMicroseconds({}, 1)"),
    case("a_uuid", "uuid", "uuid", &[("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000001"), ("ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff")], "generateUUIDv4()"),
    case("a_bool", "boolean", "bool", &[("true", "1"), ("false", "0")], "1 - {}"),
    case("a_text", "text", "text", &[("Ada", "Ada"), ("", ""), ("\t\n\\N'\"", "\\t\\n\\\\N\\'\""), ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"), ("NULL", "NULL")], "concat({}, ' ')"),
    case("a_varchar", "varchar(10)", "text", &[("Ada", "Ada"), ("  Ada  ", "  Ada  ")], "concat({}, ' ')"),
    case("a_char", "char(5)", "text", &[("Ada", "Ada"), ("", ""), ("  A", "  A")], "concat({}, '  ')"),
    case("a_citext", "citext", "text", &[("Ada", "Ada"), ("ada", "ada")], "lower({})"),
    case("a_mood", "mood", "lc", &[("ok", "ok"), ("it's", "it\\'s"), ("größe", "größe")], "'größe'"),
    case("a_label", "short_text", "lc", &[("Ada", "Ada"), ("", "")], "concat({}, ' ')"),
    case("some_bytes", "bytea", "bytea", &[("\\xdeadbeef", "DEADBEEF"), ("\\x", ""), ("\\x00ff0a5c", "00FF0A5C")], "concat({}, '\\0')"),
    case("a_jsonb", "jsonb", "json", &[("{\"a\": 1.0}", "{\"a\": 1.0}"), ("{\"a\": 1.00}", "{\"a\": 1.00}"), ("null", "null"), ("[]", "[]")], "concat({}, ' ')"),
    case("a_json", "json", "json", &[
        ("{\"b\" :1}", "{\"b\" :1}"), ("  null", "  null"), ("{\"n\": \"a\\u0000b\"}", "{\"n\": \"a\\\\u0000b\"}"), ("\"\\ud800\"", "\"\\\\ud800\""), ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
    ], "concat({}, ' ')"),
    case("an_address", "inet", "inet", &[
        ("10.0.0.1", "10.0.0.1"), ("10.1.0.0/16", "10.1.0.0/16"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("2001:db8::/32", "2001:db8::/32"), ("0.0.0.0/0", "0.0.0.0/0"),
    ], "concat({}, '/31')"),
    case("a_network", "cidr", "inet", &[("10.1.0.0/16", "10.1.0.0/16"), ("10.0.0.1/32", "10.0.0.1")], "'10.0.0.0/8'"),
    case("a_card", "macaddr", "text", &[("08:00:2b:01:02:03", "08:00:2b:01:02:03")], "upper({})"),
    case("a_span", "interval", "interval", &[
        ("1 day", "1 day"), ("24 hours", "24:00:00"), ("1 year -2 days 03:04:05.000006", "1 year -2 days +03:04:05.000006"), ("0", "00:00:00"),
    ], "'24:00:00'"),
];

/// Arrays of special forms: as Postgres reads them (none: null), and as ClickHouse prints them.
pub(crate) const ARRAYS: &[(Option<&str>, &str)] = &[
    (Some("{a}"), "['a']"),
    (Some("{}"), "[]"),
    (Some("{\"\"}"), "['']"),
    (None, "[]"),
    (Some("[5:6]={x,y}"), "['x','y']"),
    (Some("{NULL,\"NULL\",\"a,b\",\"it's\"}"), "[NULL,'NULL','a,b','it\\'s']"),
    (Some("{1:,2:ab}"), "['1:','2:ab']"),
];
