-- edit: invitation sent
INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "method", "data", "expiresAt", "updatedAt")
SELECT
    '{project}', '{branch}', '{fresh}', 'TEAM_INVITATION', 'secret-{fresh}', '{"email": "guest.{number}@example.com"}',
    jsonb_build_object('team_id', team), {now} + interval '7 days', {now}
FROM {team} AS found (team);

-- edit: invitation changed
UPDATE "VerificationCode"
SET
    "data" = jsonb_build_object('team_id', {team}),
    "method" = CASE {number} % 3 WHEN 0 THEN 'null' ELSE '{"email": "other.{number}@example.com"}'::jsonb END,
    "expiresAt" = {now} + interval '3 days',
    "updatedAt" = {now}
WHERE "projectId" = '{project}' AND "branchId" = '{branch}' AND "type" = 'TEAM_INVITATION' AND "id" = {code};

-- edit: invitation type changed
-- A code enters or leaves the mapping without coming or going.
UPDATE "VerificationCode"
SET "type" = CASE WHEN "type" = 'TEAM_INVITATION' THEN 'ONE_TIME_PASSWORD' ELSE 'TEAM_INVITATION' END::"VerificationCodeType"
WHERE "projectId" = '{project}' AND "branchId" = '{branch}' AND "id" = {code};

-- edit: code used
UPDATE "VerificationCode" SET "usedAt" = {now}, "attemptCount" = least("attemptCount", 1000) + 1
WHERE "projectId" = '{project}' AND "branchId" = '{branch}' AND "id" = {code};

-- edit: code deleted
DELETE FROM "VerificationCode" WHERE "projectId" = '{project}' AND "branchId" = '{branch}' AND "id" = {code};

-- edit: e-mail written
INSERT INTO "EmailOutbox" (
    "tenancyId", "id", "createdWith", "tsxSource", "to", "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck",
    "scheduledAt", "updatedAt"
) VALUES ('{tenancy}', '{fresh}', 'PROGRAMMATIC_CALL', '', '{}', '{}', {number} % 5 = 0, FALSE, {now}, {now});

-- edit: e-mail moved on
-- One step on the way from rendering to being read.
UPDATE "EmailOutbox"
SET
    "startedRenderingAt" = coalesce("startedRenderingAt", {now}),
    "renderedByWorkerId" = coalesce("renderedByWorkerId", '{fresh}'),
    "finishedRenderingAt" = CASE WHEN "startedRenderingAt" IS NOT NULL THEN coalesce("finishedRenderingAt", {now}) END,
    "renderedSubject" = CASE WHEN "startedRenderingAt" IS NOT NULL THEN coalesce("renderedSubject", 'Betreff {number}') END,
    "isQueued" = "isQueued" OR "finishedRenderingAt" IS NOT NULL,
    "startedSendingAt" = CASE WHEN "isQueued" THEN coalesce("startedSendingAt", {now}) END,
    "finishedSendingAt" = CASE WHEN "startedSendingAt" IS NOT NULL THEN coalesce("finishedSendingAt", {now}) END,
    "canHaveDeliveryInfo" = CASE WHEN "startedSendingAt" IS NOT NULL THEN coalesce("canHaveDeliveryInfo", TRUE) END,
    "deliveredAt" = CASE WHEN "canHaveDeliveryInfo" THEN coalesce("deliveredAt", {now}) ELSE "deliveredAt" END,
    "openedAt" = CASE WHEN "deliveredAt" IS NOT NULL THEN coalesce("openedAt", {now}) ELSE "openedAt" END,
    "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "id" = {email};

-- edit: e-mail paused or skipped
UPDATE "EmailOutbox"
SET
    "isPaused" = ({number} % 2 = 0) <> "isPaused",
    "skippedReason" = CASE WHEN "skippedReason" IS NULL THEN 'MANUALLY_CANCELLED'::"EmailOutboxSkippedReason" END,
    "skippedDetails" = CASE WHEN "skippedReason" IS NULL THEN '{"by": null}'::jsonb END
WHERE "tenancyId" = '{tenancy}' AND "id" = {email};

-- edit: e-mail deleted
DELETE FROM "EmailOutbox" WHERE "tenancyId" = '{tenancy}' AND "id" = {email};
