SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    acc."projectUserId"::text AS user_id,
    acc."configOAuthProviderId" AS provider,
    acc."providerAccountId" AS provider_account_id,
    acc."id"::text AS id,
    acc."email" AS email,
    pg_temp.oracle_millis(acc."createdAt") AS created_at
FROM "ProjectUserOAuthAccount" AS acc, "Tenancy" AS ten
WHERE ten."id" = acc."tenancyId" AND acc."projectUserId" IS NOT NULL
