SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    pre."projectUserId"::text AS user_id,
    pre."notificationCategoryId"::text AS notification_category_id,
    pre."id"::text AS id,
    pg_temp.oracle_bool(pre."enabled") AS enabled
FROM "UserNotificationPreference" AS pre, "Tenancy" AS ten
WHERE ten."id" = pre."tenancyId"
