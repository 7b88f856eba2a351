SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    mem."teamId"::text AS team_id,
    mem."projectUserId"::text AS user_id,
    mem."displayName" AS display_name,
    mem."profileImageUrl" AS profile_image_url,
    pg_temp.oracle_millis(mem."createdAt") AS created_at
FROM "TeamMember" AS mem, "Tenancy" AS ten
WHERE ten."id" = mem."tenancyId"
