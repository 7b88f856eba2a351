-- Values that hurt, numbered from 0, kept for the session. U& texts are written so that this file stays readable.
DROP TABLE IF EXISTS pg_temp.hostile_text, pg_temp.hostile_json, pg_temp.hostile_time CASCADE;

CREATE TEMPORARY TABLE hostile_text AS
SELECT row_number() OVER () - 1 AS i, value
FROM (VALUES
    (''),
    (NULL),
    (' '),
    ('NULL'),
    ('null'),
    ('\N'),
    ('''"`´'),
    (E'tab\tnewline\ncarriage return\r\nend'),
    ('\ \\ \t \x41 \u0041 \'),
    (E'\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f'),
    (U&'\0080\0085\009F\00A0\2028\2029'),
    (U&'\FEFFbyte order mark, zero\200Bwidth, \202Eright to left\202C'),
    (U&'composed \00E9, decomposed e\0301'),
    (U&'\FFFD\FFFE\FFFF\+10FFFF'),
    ('👩‍👩‍👧‍👦 🇦🇹 🏴󠁧󠁢󠁷󠁬󠁳󠁿 日本語 العربية Ελληνικά'),
    ('  spaces around  '),
    ('%s {} {{x}} $1 ? :name ${x}'),
    ('''; DROP TABLE users; --'),
    ('1900-01-01'),
    ('[1, {"a": null}]'),
    (repeat('é€😀x', 100000)),
    (repeat(E'\\"\n\t', 16000))
) AS listed (value);

CREATE TEMPORARY TABLE hostile_json AS
SELECT row_number() OVER () - 1 AS i, value::jsonb
FROM (VALUES
    (NULL),
    ('null'),
    ('{}'),
    ('[]'),
    ('""'),
    ('0'),
    ('false'),
    ('{"a": {"b": null, "c": [null, [null], {}]}, "d": null}'),
    ('{"a": {"b": 2}, "a.b": 3, "": "", " ": " "}'),
    ('{"größe": 1, "日本語": {"🔑": "😀"}, "e\u0301": "\u00e9", "\"quoted\"": "\\"}'),
    ('{"control": "\u0001\u001f\u007f\b\f\n\r\t/\/", "line": "\u2028"}'),
    ('{"int64": 9223372036854775807, "beyond": -9223372036854775809, "float": 9007199254740993}'),
    ('{"large": 123456789012345678901234567890123456789012345678901234567890.000000000000000000000000000001}'),
    ('{"huge": 1e400, "tiny": 1e-400, "zero": -0, "scale": 1.1000, "double": 1.7976931348623157e308}'),
    ('[1, 1.0, 1e0, "1", true, null, [], {}]'),
    (repeat('[', 500) || repeat(']', 500)),
    (repeat('{"k":', 300) || 'null' || repeat('}', 300)),
    ('{"long": "' || repeat('é€😀x', 100000) || '"}')
) AS listed (value);

CREATE TEMPORARY TABLE hostile_time AS
SELECT row_number() OVER () - 1 AS i, value::timestamp
FROM (VALUES
    ('2024-02-29 12:34:56.789'),
    ('1970-01-01 00:00:00'),
    ('1969-12-31 23:59:59.999'),
    ('1969-12-31 23:59:59.001'),
    ('1901-12-13 20:45:51.999'),
    ('1900-01-01 00:00:00.001'),
    ('1900-01-01 00:00:00'),
    ('1899-12-31 23:59:59.999'),
    ('1582-10-10 01:02:03.004'),
    ('0001-01-01 00:00:00'),
    ('4713-11-24 00:00:00 BC'),
    ('-infinity'),
    ('2038-01-19 03:14:08.001'),
    ('2106-02-07 06:28:16'),
    ('2262-04-11 23:47:16.855'),
    ('2262-04-11 23:47:16.854'),
    ('2283-11-11 23:59:59.999'),
    ('2299-12-31 23:59:59.998'),
    ('2299-12-31 23:59:59.999'),
    ('2300-01-01 00:00:00'),
    ('9999-12-31 23:59:59.999'),
    ('294276-12-31 23:59:59.999'),
    ('infinity')
) AS listed (value);

-- The i-th value, round and round. `hostile_short` is for columns with a unique index, which holds no long values, and no NULL.
CREATE OR REPLACE FUNCTION pg_temp.hostile_text(n bigint) RETURNS text STABLE LANGUAGE sql
    RETURN (SELECT value FROM pg_temp.hostile_text WHERE i = n % (SELECT count(*) FROM pg_temp.hostile_text));
CREATE OR REPLACE FUNCTION pg_temp.hostile_short(n bigint) RETURNS text STABLE LANGUAGE sql
    RETURN left(coalesce(pg_temp.hostile_text(n), '∅'), 200);
CREATE OR REPLACE FUNCTION pg_temp.hostile_json(n bigint) RETURNS jsonb STABLE LANGUAGE sql
    RETURN (SELECT value FROM pg_temp.hostile_json WHERE i = n % (SELECT count(*) FROM pg_temp.hostile_json));
CREATE OR REPLACE FUNCTION pg_temp.hostile_time(n bigint) RETURNS timestamp STABLE LANGUAGE sql
    RETURN (SELECT value FROM pg_temp.hostile_time WHERE i = n % (SELECT count(*) FROM pg_temp.hostile_time));
CREATE OR REPLACE FUNCTION pg_temp.hostile_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
    RETURN md5('hostile ' || kind || ' {tenancy} ' || n::text)::uuid;
