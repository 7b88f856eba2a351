-- A UUID is eight, four, four, four and twelve hexadecimal digits, in either case, with hyphens between.
SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    inv."id"::text AS id,
    named.team AS team_id,
    coalesce(
        (SELECT team."displayName" FROM "Team" AS team WHERE team."tenancyId" = ten."id" AND team."teamId" = named.team::uuid), ''
    ) AS team_display_name,
    CASE jsonb_typeof(inv."method" #> '{email}') WHEN 'string' THEN inv."method" #>> '{email}' ELSE '' END AS recipient_email,
    pg_temp.oracle_millis(inv."expiresAt") AS expires_at_millis,
    pg_temp.oracle_millis(inv."createdAt") AS created_at
FROM "VerificationCode" AS inv
JOIN "Tenancy" AS ten ON ten."projectId" = inv."projectId" AND ten."branchId" = inv."branchId" AND ten."hasNoOrganization" IS NOT NULL
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN lower(inv."data" ->> 'team_id') ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
            THEN lower(inv."data" ->> 'team_id')
        ELSE '00000000-0000-0000-0000-000000000000'
    END
) AS named (team)
WHERE inv."type"::text = 'TEAM_INVITATION'
