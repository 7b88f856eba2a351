SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    team."teamId"::text AS id,
    team."displayName" AS display_name,
    team."profileImageUrl" AS profile_image_url,
    pg_temp.oracle_millis(team."createdAt") AS created_at,
    CASE WHEN team."clientMetadata" IS NULL THEN '{}' ELSE team."clientMetadata"::text END AS client_metadata,
    CASE WHEN team."clientReadOnlyMetadata" IS NULL THEN '{}' ELSE team."clientReadOnlyMetadata"::text END AS client_read_only_metadata,
    CASE WHEN team."serverMetadata" IS NULL THEN '{}' ELSE team."serverMetadata"::text END AS server_metadata
FROM "Team" AS team, "Tenancy" AS ten
WHERE ten."id" = team."tenancyId"
