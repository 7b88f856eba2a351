//! A table with every type, nullable and not, under a definition of its own; some names could be taken for Lockstep's.

/// Made before capture is attached.
pub(crate) const TABLE: &str = r#"
CREATE TABLE "Everything" (
    "tenancyId" uuid NOT NULL, "name" text NOT NULL, "number" bigint NOT NULL,
    "aUuid" uuid NOT NULL, "aText" text NOT NULL, "anEnum" text NOT NULL, "aMoment" timestamp NOT NULL, "aZoned" timestamptz NOT NULL,
    "aBool" boolean NOT NULL, "aJson" jsonb NOT NULL, "aPlainJson" json NOT NULL, "aSmall" smallint NOT NULL, "anInt" integer NOT NULL,
    "aBig" bigint NOT NULL, "aReal" real NOT NULL, "aDouble" double precision NOT NULL,
    "maybeUuid" uuid, "maybeText" text, "maybeEnum" text, "maybeMoment" timestamp, "maybeBool" boolean, "maybeJson" jsonb,
    "maybeInt" integer, "maybeBig" bigint, "maybeDouble" double precision,
    PRIMARY KEY ("tenancyId", "name", "number")
);
"#;

pub(crate) const DEFINITION: &str = r#"
name = "everything"
table = "Everything"
tenant = { column = "tenancyId" }
key = ["name", "number"]
columns = [
    { name = "name", type = "text", column = "name" },
    { name = "number", type = "int64", column = "number" },
    { name = "a_uuid", type = "uuid", column = "aUuid" },
    { name = "a_text", type = "text", column = "aText" },
    { name = "an_enum", type = "lc", column = "anEnum" },
    { name = "a_moment", type = "timestamp", column = "aMoment" },
    { name = "a_zoned", type = "timestamp", column = "aZoned" },
    { name = "a_bool", type = "bool", column = "aBool" },
    { name = "a_json", type = "json", column = "aJson" },
    { name = "a_plain_json", type = "json", column = "aPlainJson" },
    { name = "a_small", type = "int32", column = "aSmall" },
    { name = "place", type = "int32", column = "anInt" },
    { name = "sequence", type = "int64", column = "aBig" },
    { name = "a_real", type = "float64", column = "aReal" },
    { name = "a_double", type = "float64", column = "aDouble" },
    { name = "maybe_uuid", type = "uuid?", column = "maybeUuid" },
    { name = "maybe_text", type = "text?", column = "maybeText" },
    { name = "maybe_enum", type = "lc?", column = "maybeEnum" },
    { name = "maybe_moment", type = "timestamp?", column = "maybeMoment" },
    { name = "maybe_bool", type = "bool?", column = "maybeBool" },
    { name = "maybe_json", type = "json?", column = "maybeJson" },
    { name = "maybe_int", type = "int32?", column = "maybeInt" },
    { name = "maybe_big", type = "int64?", column = "maybeBig" },
    { name = "maybe_double", type = "float64?", column = "maybeDouble" },
]
"#;

pub(crate) const FILE: &str = "everything.toml";

/// Rows of one tenancy, one for each key in a list of texts, with ordinary values; then further rows with every value
/// that is special to its type, and one with every nullable column null.
pub(crate) fn rows(tenancy: uuid::Uuid, names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("('{}')", name.replace('\'', "''"))).collect();
    format!(
        r#"
INSERT INTO "Everything" SELECT '{tenancy}', n.name, i, gen_random_uuid(), 'text', 'one', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02',
    TRUE, '{{"a": [1, null]}}', '{{"b" :1}}', 1, 2, 3, 0.1, 0.1, gen_random_uuid(), 'text', 'two', '2024-02-29 12:34:56.789', FALSE, '{{}}', 4, 5, 0.5
FROM (VALUES {names}) AS n(name) CROSS JOIN generate_series(1, 2) AS i;
INSERT INTO "Everything" SELECT '{tenancy}', 'limits', i, '00000000-0000-0000-0000-000000000000', '', '', m.moment, m.moment AT TIME ZONE 'UTC',
    FALSE, 'null', '  null', -32768, -2147483648, -9223372036854775808, d.double::real, d.double,
    'ffffffff-ffff-ffff-ffff-ffffffffffff', '', '', m.moment, NULL, 'null', 2147483647, 9223372036854775807, d.double
FROM unnest('{{-infinity, infinity, 1899-12-31 23:59:59.999999, 1900-01-01 00:00:00, 1900-01-01 00:00:00.000999, 1969-12-31 23:59:59.999999,
    1970-01-01 00:00:00, 2024-02-29 12:34:56.789999, 2299-12-31 23:59:59.999, 2299-12-31 23:59:59.999999, 2300-01-01 00:00:00}}'::timestamp[])
    WITH ORDINALITY AS m(moment, i)
CROSS JOIN LATERAL (SELECT (ARRAY['NaN', 'Infinity', '-Infinity', '0', '-0', '1e-37', '3.4e38', '0.30000001', '-1', '16777217', '1e10'])[i]::float8) AS d(double);
INSERT INTO "Everything" SELECT '{tenancy}', 'doubles', i, gen_random_uuid(), '', '', 'epoch', 'epoch', FALSE, '0', '0', 0, 0, 0, 0, d.double
FROM unnest('{{5e-324, 1.7976931348623157e308, 0.1, 0.30000000000000004, 9007199254740993}}'::float8[]) WITH ORDINALITY AS d(double, i);
"#,
        names = names.join(", ")
    )
}
