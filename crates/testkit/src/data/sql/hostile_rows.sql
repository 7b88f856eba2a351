-- Every value in every column that can take it: each column walks the list from another place.
INSERT INTO "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "profileImageUrl", "clientMetadata",
    "clientReadOnlyMetadata", "serverMetadata", "isAnonymous", "restrictedByAdmin", "restrictedByAdminReason",
    "restrictedByAdminPrivateDetails", "signedUpAt", "lastActiveAt", "createdAt", "updatedAt"
)
SELECT
    "id", pg_temp.hostile_id('user', n), "projectId", "branchId", pg_temp.hostile_text(n), pg_temp.hostile_text(n + 1),
    pg_temp.hostile_json(n), pg_temp.hostile_json(n + 1), pg_temp.hostile_json(n + 2), n % 2 = 0, TRUE,
    pg_temp.hostile_text(n + 2), pg_temp.hostile_text(n + 3), CASE WHEN n % 5 > 0 THEN pg_temp.hostile_time(n) END,
    pg_temp.hostile_time(n + 1), pg_temp.hostile_time(n + 2), pg_temp.hostile_time(n + 3)
FROM "Tenancy" CROSS JOIN generate_series(0, 23) AS n
WHERE "id" = '{tenancy}';

INSERT INTO "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "isPrimary", "usedForAuth", "isVerified", "value", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('user', n), pg_temp.hostile_id('channel', n), 'EMAIL',
    CASE WHEN n % 3 > 0 THEN 'TRUE'::"BooleanTrue" END, NULL, n % 2 = 0, pg_temp.hostile_short(n), pg_temp.hostile_time(n),
    pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "Team" (
    "tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "profileImageUrl", "clientMetadata",
    "clientReadOnlyMetadata", "serverMetadata", "createdAt", "updatedAt"
)
SELECT
    "id", pg_temp.hostile_id('team', n), "projectId", "branchId", coalesce(pg_temp.hostile_text(n), '∅'),
    pg_temp.hostile_text(n + 1), pg_temp.hostile_json(n + 2), pg_temp.hostile_json(n), pg_temp.hostile_json(n + 1),
    pg_temp.hostile_time(n), pg_temp.hostile_time(n)
FROM "Tenancy" CROSS JOIN generate_series(0, 23) AS n
WHERE "id" = '{tenancy}';

INSERT INTO "TeamMember" (
    "tenancyId", "projectUserId", "teamId", "displayName", "profileImageUrl", "isSelected", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('user', n), pg_temp.hostile_id('team', n), pg_temp.hostile_text(n + 1),
    pg_temp.hostile_text(n), CASE WHEN n % 2 = 0 THEN 'TRUE'::"BooleanTrue" END, pg_temp.hostile_time(n), pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "TeamMemberDirectPermission" (
    "id", "tenancyId", "projectUserId", "teamId", "permissionId", "createdAt", "updatedAt"
)
SELECT
    pg_temp.hostile_id('team permission', n), '{tenancy}', pg_temp.hostile_id('user', n), pg_temp.hostile_id('team', n),
    pg_temp.hostile_short(n), pg_temp.hostile_time(n), pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "createdAt", "updatedAt")
SELECT
    pg_temp.hostile_id('project permission', n), '{tenancy}', pg_temp.hostile_id('user', n), pg_temp.hostile_short(n),
    pg_temp.hostile_time(n), pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
SELECT
    '{tenancy}', pg_temp.hostile_id('preference', n), pg_temp.hostile_id('user', n),
    (ARRAY['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'])[1 + n % 2]::uuid, n % 3 = 0
FROM generate_series(0, 23) AS n;

INSERT INTO "ProjectUserRefreshToken" (
    "tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "expiresAt", "lastActiveAt", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('token', n), pg_temp.hostile_id('user', n), 'secret-' || pg_temp.hostile_id('token', n)::text,
    n % 2 = 0, CASE WHEN n % 4 > 0 THEN pg_temp.hostile_time(n) END, pg_temp.hostile_time(n + 1), pg_temp.hostile_time(n + 2),
    pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "ProjectUserOAuthAccount" (
    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('account', n), CASE WHEN n % 7 > 0 THEN pg_temp.hostile_id('user', n) END,
    pg_temp.hostile_short(n), pg_temp.hostile_short(n + 1), pg_temp.hostile_text(n), pg_temp.hostile_time(n),
    pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

INSERT INTO "SessionReplay" (
    "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('replay', n), pg_temp.hostile_id('user', n), pg_temp.hostile_id('token', n),
    pg_temp.hostile_time(n), pg_temp.hostile_time(n + 1), pg_temp.hostile_time(n + 2), pg_temp.hostile_time(n)
FROM generate_series(0, 23) AS n;

-- Both JSON columns of a code take anything; the address is a hostile text where it is a text at all.
INSERT INTO "VerificationCode" (
    "projectId", "branchId", "id", "type", "code", "redirectUrl", "method", "data", "attemptCount", "expiresAt", "usedAt",
    "createdAt", "updatedAt"
)
SELECT
    "projectId", "branchId", pg_temp.hostile_id('code', n), 'TEAM_INVITATION',
    'secret-' || pg_temp.hostile_id('code', n)::text, pg_temp.hostile_text(n),
    CASE WHEN n % 4 = 0 THEN coalesce(pg_temp.hostile_json(n), 'null') ELSE jsonb_build_object('email', pg_temp.hostile_text(n)) END,
    CASE n % 4
        WHEN 1 THEN coalesce(pg_temp.hostile_json(n), 'null')
        WHEN 2 THEN jsonb_build_object('team_id', pg_temp.hostile_text(n))
        ELSE jsonb_build_object('team_id', pg_temp.hostile_id('team', n), 'more', pg_temp.hostile_json(n))
    END,
    2147483647, pg_temp.hostile_time(n), pg_temp.hostile_time(n + 1), pg_temp.hostile_time(n + 2), pg_temp.hostile_time(n)
FROM "Tenancy" CROSS JOIN generate_series(0, 47) AS n
WHERE "id" = '{tenancy}' AND "hasNoOrganization" IS NOT NULL;

INSERT INTO "EmailOutbox" (
    "tenancyId", "id", "createdWith", "emailDraftId", "emailProgrammaticCallTemplateId", "themeId", "tsxSource", "to",
    "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck", "renderedByWorkerId", "startedRenderingAt",
    "finishedRenderingAt", "renderErrorExternalMessage", "renderedSubject", "renderedIsTransactional",
    "renderedNotificationCategoryId", "scheduledAt", "isQueued", "startedSendingAt", "finishedSendingAt", "sendRetries",
    "sendServerErrorExternalMessage", "skippedReason", "skippedDetails", "canHaveDeliveryInfo", "deliveredAt",
    "deliveryDelayedAt", "bouncedAt", "openedAt", "clickedAt", "unsubscribedAt", "markedAsSpamAt", "createdAt", "updatedAt"
)
SELECT
    '{tenancy}', pg_temp.hostile_id('email', n), 'DRAFT', coalesce(pg_temp.hostile_text(n), ''), NULL, pg_temp.hostile_text(n + 1),
    '', 'null', coalesce(pg_temp.hostile_json(n), '{}'), n % 2 = 0, FALSE, pg_temp.hostile_id('worker', n),
    pg_temp.hostile_time(n), pg_temp.hostile_time(n + 1), pg_temp.hostile_text(n + 2), pg_temp.hostile_text(n + 3), NULL,
    pg_temp.hostile_text(n + 4), pg_temp.hostile_time(n + 2), TRUE, pg_temp.hostile_time(n + 3), pg_temp.hostile_time(n + 4),
    (ARRAY[-2147483648, -1, 0, 2147483647])[1 + n % 4], pg_temp.hostile_text(n + 5),
    CASE WHEN pg_temp.hostile_json(n) IS NOT NULL THEN 'MANUALLY_CANCELLED'::"EmailOutboxSkippedReason" END,
    pg_temp.hostile_json(n), n % 3 > 0, pg_temp.hostile_time(n + 5), pg_temp.hostile_time(n + 6), pg_temp.hostile_time(n + 7),
    pg_temp.hostile_time(n + 8), pg_temp.hostile_time(n + 9), pg_temp.hostile_time(n + 10), pg_temp.hostile_time(n + 11),
    pg_temp.hostile_time(n + 12), pg_temp.hostile_time(n + 13)
FROM generate_series(0, 23) AS n;
