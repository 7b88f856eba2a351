-- edit: replay started
INSERT INTO "SessionReplay" (
    "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt"
)
SELECT '{tenancy}', '{fresh}', usr, '{pick}', {now}, {now}, {now} FROM {user} AS found (usr) WHERE usr IS NOT NULL;

-- edit: replay continued
UPDATE "SessionReplay" SET "lastEventAt" = {now}, "updatedAt" = {now} WHERE "tenancyId" = '{tenancy}' AND "id" = {replay};

-- edit: replay deleted
DELETE FROM "SessionReplay" WHERE "tenancyId" = '{tenancy}' AND "id" = {replay};

-- edit: token issued
INSERT INTO "ProjectUserRefreshToken" (
    "tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "expiresAt", "updatedAt"
)
SELECT '{tenancy}', '{fresh}', usr, 'secret-{fresh}', {number} % 9 = 0, CASE {number} % 2 WHEN 0 THEN {now} END, {now}
FROM {user} AS found (usr) WHERE usr IS NOT NULL;

-- edit: token used
UPDATE "ProjectUserRefreshToken" SET "lastActiveAt" = {now}, "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "id" = {token};

-- edit: token rotated
-- A secret that changes is nothing to export.
UPDATE "ProjectUserRefreshToken" SET "refreshToken" = 'secret-{fresh}' WHERE "tenancyId" = '{tenancy}' AND "id" = {token};

-- edit: token deleted
DELETE FROM "ProjectUserRefreshToken" WHERE "tenancyId" = '{tenancy}' AND "id" = {token};

-- edit: tokens deleted in bulk
DELETE FROM "ProjectUserRefreshToken"
WHERE "tenancyId" = '{tenancy}' AND "id" IN (
    SELECT "id" FROM "ProjectUserRefreshToken" WHERE "tenancyId" = '{tenancy}' AND "id" >= '{pick}' ORDER BY "id" LIMIT 10
);

-- edit: account connected
INSERT INTO "ProjectUserOAuthAccount" (
    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email", "updatedAt"
) VALUES (
    '{tenancy}', '{fresh}', CASE {number} % 5 WHEN 0 THEN NULL ELSE {user} END, (ARRAY['google', 'github'])[1 + {number} % 2],
    '{number}/{fresh}', 'oauth.{number}@example.com', {now}
);

-- edit: account moved
UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = {other_user}, "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "id" = {account};

-- edit: account unlinked
-- Leaves the mapping without going.
UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = NULL, "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "projectUserId" IS NOT NULL AND "id" = {account};

-- edit: account moved there and back
-- Holds its old key for a moment under another user, then has it back, in one transaction.
DO $$
DECLARE
    account uuid := {account};
    usr uuid;
BEGIN
    SELECT "projectUserId" INTO usr FROM "ProjectUserOAuthAccount" WHERE "tenancyId" = '{tenancy}' AND "id" = account;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = {other_user} WHERE "tenancyId" = '{tenancy}' AND "id" = account;
    UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = usr WHERE "tenancyId" = '{tenancy}' AND "id" = account;
END
$$;

-- edit: account deleted
DELETE FROM "ProjectUserOAuthAccount" WHERE "tenancyId" = '{tenancy}' AND "id" = {account};

-- edit: preference chosen
INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
SELECT '{tenancy}', '{fresh}', usr, '7bb82d33-2f54-4a3d-9d23-82739e0d66ef', FALSE FROM {user} AS found (usr) WHERE usr IS NOT NULL
ON CONFLICT ("tenancyId", "projectUserId", "notificationCategoryId")
DO UPDATE SET "enabled" = NOT "UserNotificationPreference"."enabled";

-- edit: preference changed
UPDATE "UserNotificationPreference" SET "enabled" = NOT "enabled" WHERE "tenancyId" = '{tenancy}' AND "id" = {preference};

-- edit: preference deleted
DELETE FROM "UserNotificationPreference" WHERE "tenancyId" = '{tenancy}' AND "id" = {preference};
