CREATE SCHEMA billing;
CREATE TYPE billing."InvoiceStatus" AS ENUM ('OPEN', 'PAID');
CREATE TABLE billing."Invoice" (
    "note" text,
    "tenancyId" uuid NOT NULL,
    "series" char(40) NOT NULL,
    "year" integer NOT NULL,
    "number" bigint NOT NULL,
    "customerId" uuid,
    "status" billing."InvoiceStatus" NOT NULL DEFAULT 'OPEN',
    "currency" text,
    "isPaid" boolean NOT NULL DEFAULT FALSE,
    "isDisputed" boolean,
    "lines" jsonb NOT NULL DEFAULT '[]',
    "extra" jsonb,
    "items" smallint,
    "cents" bigint NOT NULL DEFAULT 0,
    "rate" double precision NOT NULL DEFAULT 0,
    "discount" real,
    "issuedAt" timestamptz(6) NOT NULL DEFAULT '2025-01-01 00:00:00Z',
    "paidAt" timestamp(6),
    "secretRemark" text DEFAULT 'secret-remark',
    PRIMARY KEY ("tenancyId", "series", "year", "number")
);
INSERT INTO billing."Invoice" ("tenancyId", "series", "year", "number", "customerId", "status", "currency", "note", "isPaid", "isDisputed",
    "lines", "extra", "items", "cents", "rate", "discount", "issuedAt", "paidAt") VALUES
    (id('engines'), 'A', -2147483648, -9223372036854775808, id('ada'), 'PAID', '€', '', TRUE, FALSE,
        '[{"größe": null}]', '{}', -32768, -9223372036854775808, 0.30000000000000004, 0.5, '1969-12-31 23:59:59.999999Z', '1969-12-31 23:59:59.999001'),
    (id('engines'), E'B\t''"\\', 2147483647, 9223372036854775807, NULL, 'OPEN', NULL, NULL, FALSE, NULL,
        'null', NULL, NULL, 9223372036854775807, 'Infinity', NULL, 'infinity', '-infinity'),
    (id('engines'), '', 0, 0, id('gone'), 'OPEN', '', E'👩‍👩‍👧‍👦\r\n\x01', TRUE, TRUE,
        '{"n": 123456789012345678901234567890.5}', 'null', 32767, 0, '-1.7976931348623157e308', '-0.25', '2024-02-29 12:00:00.123456+02', '2024-02-29 12:00:00.999999'),
    (id('compilers'), 'A', -2147483648, -9223372036854775808, id('grace'), 'OPEN', '$', 'same key, another tenant', FALSE, NULL,
        '[]', NULL, 1, 1, 1, 1, '2025-01-01 00:00:00Z', NULL);
