INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "createdAt", "updatedAt")
SELECT
    pg_temp.seed_id('project permission', n * 2 + k),
    tenancy_id,
    pg_temp.seed_id('user', n),
    (ARRAY['billing:read', 'größer/als'])[k + 1],
    pg_temp.seed_moment(n, 120),
    pg_temp.seed_moment(n, 120)
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
WHERE pg_temp.seed_pick(n, 121, 100) < (ARRAY[20, 5])[k + 1];
