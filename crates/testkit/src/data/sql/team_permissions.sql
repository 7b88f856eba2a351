INSERT INTO "TeamMemberDirectPermission" (
    "id", "tenancyId", "projectUserId", "teamId", "permissionId", "createdAt", "updatedAt"
)
SELECT
    pg_temp.seed_id('team permission', (n * 2 + k) * 3 + p),
    tenancy_id,
    pg_temp.seed_id('user', n),
    pg_temp.seed_id('team', pg_temp.seed_team(n, k)),
    (ARRAY['team_member', 'team_admin', '$invite_members'])[p + 1],
    pg_temp.seed_moment(n, 3) + interval '1 day 3 hours',
    pg_temp.seed_moment(n, 3) + interval '1 day 3 hours'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
CROSS JOIN generate_series(0, 1) AS k
CROSS JOIN generate_series(0, 2) AS p
WHERE pg_temp.seed_team(n, k) IS NOT NULL AND pg_temp.seed_pick(n, 110 + k, 100) < (ARRAY[60, 15, 4])[p + 1];
