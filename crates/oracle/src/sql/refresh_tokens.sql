SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    tok."id"::text AS id,
    tok."projectUserId"::text AS user_id,
    pg_temp.oracle_millis(tok."createdAt") AS created_at,
    pg_temp.oracle_millis(tok."lastActiveAt") AS last_used_at,
    pg_temp.oracle_bool(tok."isImpersonation") AS is_impersonation,
    pg_temp.oracle_millis(tok."expiresAt") AS expires_at
FROM "ProjectUserRefreshToken" AS tok, "Tenancy" AS ten
WHERE ten."id" = tok."tenancyId"
