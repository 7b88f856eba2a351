SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    cha."projectUserId"::text AS user_id,
    cha."id"::text AS id,
    cha."type"::text AS type,
    cha."value" AS value,
    pg_temp.oracle_bool(cha."isPrimary" IS NOT NULL) AS is_primary,
    pg_temp.oracle_bool(cha."isVerified") AS is_verified,
    pg_temp.oracle_bool(cha."usedForAuth" IS NOT NULL) AS used_for_auth,
    pg_temp.oracle_millis(cha."createdAt") AS created_at
FROM "ContactChannel" AS cha, "Tenancy" AS ten
WHERE ten."id" = cha."tenancyId"
