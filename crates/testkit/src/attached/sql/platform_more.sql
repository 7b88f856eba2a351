-- The rest of the source tables, and tables that no mapping reads.

CREATE TABLE "UserNotificationPreference" (
    "id" uuid NOT NULL,
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "notificationCategoryId" uuid NOT NULL,
    "enabled" boolean NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "UserNotificationPreference" ("tenancyId", "projectUserId", "notificationCategoryId");

CREATE TABLE "ProjectUserRefreshToken" (
    "projectUserId" uuid NOT NULL,
    "refreshToken" text NOT NULL,
    "expiresAt" timestamp(3),
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "id" uuid NOT NULL,
    "isImpersonation" boolean NOT NULL DEFAULT FALSE,
    "tenancyId" uuid NOT NULL,
    "lastActiveAtIpInfo" jsonb,
    "lastActiveAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY ("tenancyId", "id")
);
CREATE UNIQUE INDEX ON "ProjectUserRefreshToken" ("refreshToken");

CREATE TABLE "ProjectUserOAuthAccount" (
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "email" text,
    "providerAccountId" text NOT NULL,
    "configOAuthProviderId" text NOT NULL,
    "projectUserId" uuid,
    "tenancyId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "allowSignIn" boolean NOT NULL DEFAULT TRUE,
    "allowConnectedAccounts" boolean NOT NULL DEFAULT TRUE,
    PRIMARY KEY ("tenancyId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "ProjectUserOAuthAccount" ("tenancyId", "configOAuthProviderId", "projectUserId", "providerAccountId");
CREATE INDEX ON "ProjectUserOAuthAccount" ("tenancyId", "projectUserId");

CREATE TABLE "SessionReplay" (
    "id" uuid NOT NULL,
    "tenancyId" uuid NOT NULL REFERENCES "Tenancy" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "projectUserId" uuid NOT NULL,
    "refreshTokenId" uuid NOT NULL,
    "startedAt" timestamp(3) NOT NULL,
    "lastEventAt" timestamp(3) NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ON "SessionReplay" ("tenancyId", "projectUserId", "startedAt");

CREATE TABLE "VerificationCode" (
    "projectId" text NOT NULL,
    "id" uuid NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "type" "VerificationCodeType" NOT NULL,
    "code" text NOT NULL,
    "expiresAt" timestamp(3) NOT NULL,
    "usedAt" timestamp(3),
    "redirectUrl" text,
    "data" jsonb NOT NULL,
    "branchId" text NOT NULL,
    "method" jsonb NOT NULL DEFAULT 'null',
    "attemptCount" integer NOT NULL DEFAULT 0,
    PRIMARY KEY ("projectId", "branchId", "id")
);
CREATE UNIQUE INDEX ON "VerificationCode" ("projectId", "branchId", "code");
CREATE INDEX "VerificationCode_data_idx" ON "VerificationCode" USING gin ("data" jsonb_path_ops);

CREATE TABLE "EmailOutbox" (
    "tenancyId" uuid NOT NULL REFERENCES "Tenancy" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "id" uuid NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "tsxSource" text NOT NULL,
    "themeId" text,
    "isHighPriority" boolean NOT NULL,
    "to" jsonb NOT NULL,
    "extraRenderVariables" jsonb NOT NULL,
    "overrideSubject" text,
    "overrideNotificationCategoryId" text,
    "shouldSkipDeliverabilityCheck" boolean NOT NULL,
    "createdWith" "EmailOutboxCreatedWith" NOT NULL,
    "emailDraftId" text,
    "emailProgrammaticCallTemplateId" text,
    "isPaused" boolean NOT NULL DEFAULT FALSE,
    "renderedByWorkerId" uuid,
    "startedRenderingAt" timestamp(3),
    "finishedRenderingAt" timestamp(3),
    "renderErrorExternalMessage" text,
    "renderErrorInternalMessage" text,
    "renderErrorInternalDetails" jsonb,
    "renderedHtml" text,
    "renderedText" text,
    "renderedSubject" text,
    "renderedIsTransactional" boolean,
    "renderedNotificationCategoryId" text,
    "scheduledAt" timestamp(3) NOT NULL,
    "scheduledAtIfNotYetQueued" timestamp(3) GENERATED ALWAYS AS (CASE WHEN "isQueued" THEN NULL ELSE "scheduledAt" END) STORED,
    "isQueued" boolean NOT NULL DEFAULT FALSE,
    "startedSendingAt" timestamp(3),
    "finishedSendingAt" timestamp(3),
    "sendRetries" integer NOT NULL DEFAULT 0,
    "sendServerErrorExternalMessage" text,
    "sendServerErrorInternalDetails" jsonb,
    "canHaveDeliveryInfo" boolean,
    "deliveredAt" timestamp(3),
    "deliveryDelayedAt" timestamp(3),
    "bouncedAt" timestamp(3),
    "openedAt" timestamp(3),
    "clickedAt" timestamp(3),
    "unsubscribedAt" timestamp(3),
    "markedAsSpamAt" timestamp(3),
    "skippedReason" "EmailOutboxSkippedReason",
    "skippedDetails" jsonb,
    PRIMARY KEY ("tenancyId", "id"),
    CONSTRAINT "EmailOutbox_renderedByWorkerId_check"
        CHECK (num_nonnulls("startedRenderingAt", "renderedByWorkerId") IN (0, 2)),
    CONSTRAINT "EmailOutbox_rendering_order_check" CHECK ("finishedRenderingAt" IS NULL OR "startedRenderingAt" IS NOT NULL),
    CONSTRAINT "EmailOutbox_sending_order_check" CHECK ("finishedSendingAt" IS NULL OR "startedSendingAt" IS NOT NULL),
    CONSTRAINT "EmailOutbox_queued_check" CHECK ("startedSendingAt" IS NULL OR "isQueued"),
    CONSTRAINT "EmailOutbox_delivery_info_check" CHECK (("finishedSendingAt" IS NULL) = ("canHaveDeliveryInfo" IS NULL)),
    CONSTRAINT "EmailOutbox_skipped_details_check" CHECK (("skippedReason" IS NULL) = ("skippedDetails" IS NULL)),
    CONSTRAINT "EmailOutbox_draft_check" CHECK (("createdWith" = 'DRAFT') = ("emailDraftId" IS NOT NULL)),
    CONSTRAINT "EmailOutbox_template_check"
        CHECK ("createdWith" = 'PROGRAMMATIC_CALL' OR "emailProgrammaticCallTemplateId" IS NULL)
);
-- The generated columns came with a later version, at the end of the table.
ALTER TABLE "EmailOutbox" ADD COLUMN "sentAt" timestamp(3) GENERATED ALWAYS AS (CASE
    WHEN "canHaveDeliveryInfo" IS TRUE THEN "deliveredAt"
    WHEN "canHaveDeliveryInfo" IS FALSE THEN "finishedSendingAt"
END) STORED;
ALTER TABLE "EmailOutbox" ADD COLUMN "simpleStatus" "EmailOutboxSimpleStatus" NOT NULL GENERATED ALWAYS AS (CASE
    WHEN "skippedReason" IS NOT NULL THEN 'OK'::"EmailOutboxSimpleStatus"
    WHEN coalesce("renderErrorExternalMessage", "sendServerErrorExternalMessage") IS NOT NULL THEN 'ERROR'
    WHEN "bouncedAt" IS NOT NULL THEN 'ERROR'
    WHEN "finishedSendingAt" IS NULL THEN 'IN_PROGRESS'
    WHEN "canHaveDeliveryInfo" AND "deliveredAt" IS NULL THEN 'IN_PROGRESS'
    ELSE 'OK'
END) STORED;
ALTER TABLE "EmailOutbox" ADD COLUMN "status" "EmailOutboxStatus" NOT NULL GENERATED ALWAYS AS (CASE
    WHEN "isPaused" THEN 'PAUSED'::"EmailOutboxStatus"
    WHEN "skippedReason" IS NOT NULL THEN 'SKIPPED'
    WHEN "startedRenderingAt" IS NULL THEN 'PREPARING'
    WHEN "finishedRenderingAt" IS NULL THEN 'RENDERING'
    WHEN "renderErrorExternalMessage" IS NOT NULL THEN 'RENDER_ERROR'
    WHEN "startedSendingAt" IS NULL THEN CASE WHEN "isQueued" THEN 'QUEUED'::"EmailOutboxStatus" ELSE 'SCHEDULED' END
    WHEN "finishedSendingAt" IS NULL OR ("canHaveDeliveryInfo" AND "deliveredAt" IS NULL) THEN 'SENDING'
    WHEN "sendServerErrorExternalMessage" IS NOT NULL THEN 'SERVER_ERROR'
    WHEN NOT "canHaveDeliveryInfo" THEN 'SENT'
    WHEN "markedAsSpamAt" IS NOT NULL THEN 'MARKED_AS_SPAM'
    WHEN "clickedAt" IS NOT NULL THEN 'CLICKED'
    WHEN "openedAt" IS NOT NULL THEN 'OPENED'
    WHEN "bouncedAt" IS NOT NULL THEN 'BOUNCED'
    WHEN "deliveryDelayedAt" IS NOT NULL THEN 'DELIVERY_DELAYED'
    ELSE 'SENT'
END) STORED;
CREATE INDEX "EmailOutbox_status_tenancy_idx" ON "EmailOutbox" ("tenancyId", "status");

-- Not for Lockstep.

CREATE TABLE "AuthMethod" (
    "tenancyId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "passwordHash" text,
    PRIMARY KEY ("tenancyId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE "SessionReplayChunk" (
    "id" uuid NOT NULL PRIMARY KEY,
    "tenancyId" uuid NOT NULL REFERENCES "Tenancy" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "sessionReplayId" uuid NOT NULL,
    "s3Key" text NOT NULL,
    FOREIGN KEY ("tenancyId", "sessionReplayId") REFERENCES "SessionReplay" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE "Event" ("id" uuid NOT NULL PRIMARY KEY, "systemEventTypeIds" text[], "data" jsonb NOT NULL);
CREATE TABLE "_prisma_migrations" ("id" text NOT NULL PRIMARY KEY, "migration_name" text NOT NULL, "finished_at" timestamptz);
INSERT INTO "_prisma_migrations" VALUES ('1', '20240910_init', '2024-09-10'), ('2', '20251020_email_outbox', '2025-10-20');
