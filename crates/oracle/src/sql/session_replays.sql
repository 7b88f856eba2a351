SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    rep."id"::text AS id,
    rep."projectUserId"::text AS user_id,
    rep."refreshTokenId"::text AS refresh_token_id,
    pg_temp.oracle_millis(rep."startedAt") AS started_at,
    pg_temp.oracle_millis(rep."lastEventAt") AS last_event_at,
    pg_temp.oracle_millis(rep."createdAt") AS created_at
FROM "SessionReplay" AS rep, "Tenancy" AS ten
WHERE ten."id" = rep."tenancyId"
