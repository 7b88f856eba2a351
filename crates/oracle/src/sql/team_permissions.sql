SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    per."teamId"::text AS team_id,
    per."projectUserId"::text AS user_id,
    per."permissionId" AS permission_id,
    pg_temp.oracle_millis(per."createdAt") AS created_at
FROM "TeamMemberDirectPermission" AS per, "Tenancy" AS ten
WHERE ten."id" = per."tenancyId"
