INSERT INTO "Team" (
    "tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "profileImageUrl", "clientMetadata",
    "clientReadOnlyMetadata", "serverMetadata", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('team', m),
    project_id,
    branch_id,
    CASE
        WHEN pg_temp.seed_chance(m, 80, 2) THEN ''
        ELSE (ARRAY['Design', 'Équipe', 'Ops & Co', 'チーム', 'R"n"D', '🚀 Launch'])[1 + pg_temp.seed_pick(m, 81, 6)] || ' ' || m::text
    END,
    CASE WHEN pg_temp.seed_chance(m, 82, 30) THEN 'https://images.example.com/teams/' || m::text || '.png' END,
    pg_temp.seed_metadata(m, 83, 40),
    pg_temp.seed_metadata(m, 87, 20),
    pg_temp.seed_metadata(m, 91, 20),
    pg_temp.seed_moment(m, 95),
    pg_temp.seed_moment(m, 95) + interval '2 hours'
FROM generate_series({from}::bigint, {to}) AS m
JOIN pg_temp.seed_tenancy ON t = m / {teams};
