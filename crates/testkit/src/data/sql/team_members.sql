-- A member's own name in the team overrides the user's; most have none.
INSERT INTO "TeamMember" (
    "tenancyId", "projectUserId", "teamId", "displayName", "profileImageUrl", "isSelected", "createdAt", "updatedAt"
)
SELECT
    tenancy_id,
    pg_temp.seed_id('user', n),
    pg_temp.seed_id('team', pg_temp.seed_team(n, k)),
    CASE
        WHEN pg_temp.seed_chance(n, 100, 3) THEN ''
        WHEN pg_temp.seed_chance(n, 101 + k, 20) THEN pg_temp.seed_first_name(n) || ' (Team ' || (k + 1)::text || ')'
    END,
    CASE WHEN pg_temp.seed_chance(n, 103, 5) THEN 'https://images.example.com/members/' || n::text END,
    CASE WHEN k = 0 AND pg_temp.seed_chance(n, 104, 60) THEN 'TRUE'::"BooleanTrue" END,
    pg_temp.seed_moment(n, 3) + interval '1 day',
    pg_temp.seed_moment(n, 3) + interval '2 days'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
WHERE pg_temp.seed_team(n, k) IS NOT NULL;
