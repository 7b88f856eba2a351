-- Canonical texts. Limits of DateTime64(3): 1900-01-01 00:00:00.000 and 2299-12-31 23:59:59.999, in epoch milliseconds.
CREATE OR REPLACE FUNCTION pg_temp.oracle_millis(moment timestamp) RETURNS text IMMUTABLE LANGUAGE sql
    RETURN CASE
        WHEN moment IS NULL THEN NULL
        WHEN moment < '1900-01-01 00:00:00' THEN '-2208988800000'
        WHEN moment > '2299-12-31 23:59:59.999' THEN '10413791999999'
        ELSE floor(extract(epoch FROM moment) * 1000)::bigint::text
    END;

CREATE OR REPLACE FUNCTION pg_temp.oracle_bool(truth boolean) RETURNS text IMMUTABLE LANGUAGE sql
    RETURN CASE truth WHEN TRUE THEN '1' WHEN FALSE THEN '0' END;

-- 'DELIVERY_DELAYED' is shown as 'delivery-delayed'.
CREATE OR REPLACE FUNCTION pg_temp.oracle_kebab(word text) RETURNS text IMMUTABLE LANGUAGE sql
    RETURN translate(lower(word), '_', '-');
