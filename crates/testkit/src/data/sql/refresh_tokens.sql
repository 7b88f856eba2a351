-- Nothing ties a token to its user: a few belong to users who are gone.
INSERT INTO "ProjectUserRefreshToken" (
    "tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "expiresAt", "lastActiveAt", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('token', n * 3 + k),
    pg_temp.seed_id(CASE WHEN pg_temp.seed_chance(n, 140, 2) THEN 'user who left' ELSE 'user' END, n),
    'secret-' || md5('{seed}:' || (n * 3 + k)::text),
    pg_temp.seed_chance(n, 141, 3),
    CASE WHEN pg_temp.seed_chance(n, 142 + k, 60) THEN pg_temp.seed_moment(n, 145 + k) + interval '1 year' END,
    pg_temp.seed_moment(n, 145 + k) + pg_temp.seed_pick(n, 148, 86400000) * interval '1 millisecond',
    pg_temp.seed_moment(n, 145 + k),
    pg_temp.seed_moment(n, 145 + k)
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 2) AS k
WHERE pg_temp.seed_pick(n, 149, 100) < (ARRAY[80, 30, 10])[k + 1];
