-- edit: user inserted
INSERT INTO "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "clientMetadata", "signedUpAt", "updatedAt"
) VALUES ('{tenancy}', '{fresh}', '{project}', '{branch}', 'Neu {number} 🌱', '{"edit": {number}, "of": null}', {now}, {now});
INSERT INTO "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "isPrimary", "usedForAuth", "isVerified", "value", "updatedAt"
) VALUES ('{tenancy}', '{fresh}', '{fresh}', 'EMAIL', 'TRUE', 'TRUE', {number} % 2 = 0, '{fresh}@example.com', {now});

-- edit: user changed
UPDATE "ProjectUser"
SET
    "displayName" = CASE {number} % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Umbenannt {number}' END,
    "clientMetadata" = CASE {number} % 3 WHEN 0 THEN NULL WHEN 1 THEN 'null' ELSE '{"edit": {number}}'::jsonb END,
    "isAnonymous" = NOT "isAnonymous",
    "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};

-- edit: user seen
-- Changes nothing that any mapping reads.
UPDATE "ProjectUser" SET "lastActiveAt" = {now}, "updatedAt" = {now} WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};

-- edit: user restricted
UPDATE "ProjectUser"
SET
    "restrictedByAdmin" = NOT "restrictedByAdmin",
    "restrictedByAdminReason" = CASE WHEN NOT "restrictedByAdmin" THEN 'Case {number}' END,
    "restrictedByAdminPrivateDetails" = CASE WHEN NOT "restrictedByAdmin" THEN '' END,
    "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};

-- edit: user deleted
-- Cascades to all that hangs on the user.
DELETE FROM "ProjectUser" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};

-- edit: user deleted and created again
DO $$
DECLARE
    usr uuid := {user};
BEGIN
    DELETE FROM "ProjectUser" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = usr;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    INSERT INTO "ProjectUser" (
        "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
    ) VALUES ('{tenancy}', usr, '{project}', '{branch}', 'Back again {number}', {now});
END
$$;

-- edit: user id changed
-- Cascades into the keys of all that hangs on the user.
UPDATE "ProjectUser" SET "projectUserId" = '{fresh}' WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};

-- edit: users changed in bulk
UPDATE "ProjectUser"
SET "serverMetadata" = coalesce("serverMetadata", '{}') || '{"bulk": {number}}'
WHERE "tenancyId" = '{tenancy}' AND "projectUserId" IN (
    SELECT "projectUserId" FROM "ProjectUser"
    WHERE "tenancyId" = '{tenancy}' AND "projectUserId" >= '{pick}' ORDER BY "projectUserId" LIMIT 50
);

-- edit: channel inserted
INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt")
SELECT '{tenancy}', usr, '{fresh}', 'EMAIL', FALSE, '{fresh}@example.com', {now} FROM {user} AS found (usr) WHERE usr IS NOT NULL;

-- edit: channel changed
UPDATE "ContactChannel"
SET "isVerified" = NOT "isVerified", "value" = 'changed.{fresh}@example.com', "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "id") = {channel};

-- edit: channel deleted
DELETE FROM "ContactChannel" WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "id") = {channel};

-- edit: primary address swapped
DO $$
DECLARE
    usr uuid;
    other uuid;
BEGIN
    SELECT "projectUserId", "id" INTO usr, other FROM "ContactChannel"
    WHERE "tenancyId" = '{tenancy}' AND "projectUserId" >= '{pick}' AND "isPrimary" IS NULL
    ORDER BY "projectUserId" LIMIT 1;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    UPDATE "ContactChannel" SET "isPrimary" = NULL
    WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = usr AND "isPrimary" IS NOT NULL;
    UPDATE "ContactChannel" SET "isPrimary" = 'TRUE' WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = usr AND "id" = other;
END
$$;
