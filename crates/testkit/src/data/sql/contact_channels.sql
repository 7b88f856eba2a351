-- The first address is nearly always the primary one; one user in ten has none at all.
INSERT INTO "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "isPrimary", "usedForAuth", "isVerified", "value", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('user', n),
    pg_temp.seed_id('channel', n * 4 + k),
    'EMAIL',
    CASE WHEN k = 0 AND NOT pg_temp.seed_chance(n, 70, 5) THEN 'TRUE'::"BooleanTrue" END,
    CASE WHEN k = 0 AND pg_temp.seed_chance(n, 71, 70) THEN 'TRUE'::"BooleanTrue" END,
    pg_temp.seed_chance(n, 72 + k, 75),
    pg_temp.seed_email(n, k),
    pg_temp.seed_moment(n, 3) + k * interval '9 days 1.5 seconds',
    pg_temp.seed_moment(n, 3) + k * interval '10 days'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 2) AS k
WHERE pg_temp.seed_pick(n, 75, 100) < (ARRAY[90, 18, 5])[k + 1];
