INSERT INTO "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "projectId", "displayName", "profileImageUrl",
    "clientMetadata", "clientReadOnlyMetadata", "serverMetadata", "isAnonymous", "restrictedByAdmin", "restrictedByAdminReason",
    "restrictedByAdminPrivateDetails", "signedUpAt", "lastActiveAt", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('user', n),
    project_id,
    branch_id,
    CASE WHEN pg_temp.seed_pick(n, 20, 1000) = 0 THEN project_id END,
    CASE
        WHEN pg_temp.seed_pick(n, 21, 100) < 10 THEN NULL
        WHEN pg_temp.seed_pick(n, 21, 100) < 13 THEN ''
        WHEN pg_temp.seed_pick(n, 21, 100) < 15 THEN pg_temp.seed_first_name(n) || ' 🦊'
        ELSE pg_temp.seed_first_name(n) || ' ' || pg_temp.seed_last_name(n)
    END,
    CASE WHEN pg_temp.seed_chance(n, 22, 40) THEN 'https://images.example.com/avatars/' || n || '.webp' END,
    pg_temp.seed_metadata(n, 30, 50),
    pg_temp.seed_metadata(n, 40, 12),
    pg_temp.seed_metadata(n, 50, 25),
    pg_temp.seed_chance(n, 23, 8),
    restricted,
    CASE WHEN restricted AND pg_temp.seed_chance(n, 25, 60) THEN 'Unusual sign-up pattern' END,
    CASE WHEN restricted AND pg_temp.seed_chance(n, 26, 60) THEN 'Score ' || pg_temp.seed_pick(n, 27, 100) || ', rule "burst"' END,
    CASE WHEN pg_temp.seed_chance(n, 28, 70) THEN created_at + interval '4.217 seconds' END,
    created_at + pg_temp.seed_pick(n, 29, 5000000) * interval '1 second',
    created_at,
    created_at + pg_temp.seed_pick(n, 29, 5000000) * interval '1 second'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN LATERAL (SELECT pg_temp.seed_chance(n, 24, 3) AS restricted, pg_temp.seed_moment(n, 3) AS created_at) AS drawn;
