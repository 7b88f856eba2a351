-- An account that is being linked has no user yet.
INSERT INTO "ProjectUserOAuthAccount" (
    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('account', n * 2 + k),
    CASE WHEN NOT pg_temp.seed_chance(n, 150 + k, 8) THEN pg_temp.seed_id('user', n) END,
    (ARRAY['google', 'github', 'microsoft', 'apple', 'corp-sso'])[1 + pg_temp.seed_pick(n, 152 + k, 5)],
    (1000000 + n * 2 + k)::text,
    CASE WHEN pg_temp.seed_chance(n, 154, 80) THEN pg_temp.seed_email(n, 0) END,
    pg_temp.seed_moment(n, 155 + k),
    pg_temp.seed_moment(n, 155 + k)
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
WHERE pg_temp.seed_pick(n, 157, 100) < (ARRAY[40, 10])[k + 1];
