INSERT INTO "SessionReplay" (
    "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('replay', n * 2 + k),
    pg_temp.seed_id('user', n),
    pg_temp.seed_id('token', n * 3),
    pg_temp.seed_moment(n, 160 + k),
    pg_temp.seed_moment(n, 160 + k) + pg_temp.seed_pick(n, 162 + k, 3600000) * interval '1 millisecond',
    pg_temp.seed_moment(n, 160 + k) + interval '0.3 seconds',
    pg_temp.seed_moment(n, 160 + k) + interval '1 hour'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
WHERE pg_temp.seed_pick(n, 164, 100) < (ARRAY[25, 8])[k + 1];
