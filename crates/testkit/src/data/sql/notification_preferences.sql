-- Two categories, the same for everybody.
INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
SELECT
    tenancy_id,
    pg_temp.seed_id('preference', n * 2 + k),
    pg_temp.seed_id('user', n),
    (ARRAY['4f6f8873-3d04-46bd-8bef-18338b1a1b4c', '7bb82d33-2f54-4a3d-9d23-82739e0d66ef'])[k + 1]::uuid,
    pg_temp.seed_chance(n, 130 + k, 40)
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
WHERE pg_temp.seed_pick(n, 132, 100) < (ARRAY[20, 8])[k + 1];
