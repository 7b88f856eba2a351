-- The source schema for a database of our own: development, demo, tests. In an attached database another tool owns these tables.
-- Names are quoted camelCase, as the platform writes them. Capture (triggers and its indexes) is installed by `lockstep migrate`, not here.
-- Ids have no default: the application makes them. Timestamps are UTC.

-- NULL means false, so that a unique constraint can allow one TRUE and any number of NULLs.
CREATE TYPE "BooleanTrue" AS ENUM ('TRUE');
CREATE TYPE "ContactChannelType" AS ENUM ('EMAIL');
CREATE TYPE "VerificationCodeType" AS ENUM (
    'ONE_TIME_PASSWORD', 'PASSWORD_RESET', 'CONTACT_CHANNEL_VERIFICATION', 'TEAM_INVITATION', 'MFA_ATTEMPT',
    'PASSKEY_REGISTRATION_CHALLENGE', 'PASSKEY_AUTHENTICATION_CHALLENGE', 'INTEGRATION_PROJECT_TRANSFER', 'PURCHASE_URL'
);
CREATE TYPE "EmailOutboxStatus" AS ENUM (
    'PAUSED', 'SKIPPED', 'PREPARING', 'RENDERING', 'RENDER_ERROR', 'SCHEDULED', 'QUEUED', 'SENDING', 'SERVER_ERROR', 'SENT',
    'MARKED_AS_SPAM', 'CLICKED', 'OPENED', 'BOUNCED', 'DELIVERY_DELAYED'
);
CREATE TYPE "EmailOutboxSimpleStatus" AS ENUM ('IN_PROGRESS', 'ERROR', 'OK');
CREATE TYPE "EmailOutboxCreatedWith" AS ENUM ('DRAFT', 'PROGRAMMATIC_CALL');
CREATE TYPE "EmailOutboxSkippedReason" AS ENUM (
    'USER_UNSUBSCRIBED', 'USER_ACCOUNT_DELETED', 'USER_HAS_NO_PRIMARY_EMAIL', 'NO_EMAIL_PROVIDED', 'LIKELY_NOT_DELIVERABLE',
    'MANUALLY_CANCELLED'
);

-- Tenants.

CREATE TABLE "Project" (
    "id" text PRIMARY KEY,
    "displayName" text NOT NULL,
    "description" text NOT NULL DEFAULT '',
    "isProductionMode" boolean NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL
);

CREATE TABLE "Tenancy" (
    "id" uuid PRIMARY KEY,
    "projectId" text NOT NULL REFERENCES "Project" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "branchId" text NOT NULL,
    "organizationId" uuid,
    "hasNoOrganization" "BooleanTrue",
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    UNIQUE ("projectId", "branchId", "organizationId"),
    UNIQUE ("projectId", "branchId", "hasNoOrganization")
);

-- Users and what hangs on them. A user does not reference its tenancy: its rows stay when the tenancy goes.

CREATE TABLE "ProjectUser" (
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "mirroredProjectId" text NOT NULL,
    "mirroredBranchId" text NOT NULL,
    "projectId" text REFERENCES "Project" ("id") ON DELETE SET NULL ON UPDATE CASCADE,
    "displayName" text,
    "profileImageUrl" text,
    "clientMetadata" jsonb,
    "clientReadOnlyMetadata" jsonb,
    "serverMetadata" jsonb,
    "isAnonymous" boolean NOT NULL DEFAULT FALSE,
    "restrictedByAdmin" boolean NOT NULL DEFAULT FALSE,
    "restrictedByAdminReason" text,
    "restrictedByAdminPrivateDetails" text,
    "signedUpAt" timestamp(3),
    "lastActiveAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "projectUserId"),
    UNIQUE ("mirroredProjectId", "mirroredBranchId", "projectUserId"),
    CONSTRAINT "ProjectUser_restricted_by_admin_check" CHECK (
        "restrictedByAdmin" OR ("restrictedByAdminReason" IS NULL AND "restrictedByAdminPrivateDetails" IS NULL)
    )
);
-- Serves the foreign key to Project alone, which is NULL in nearly every row.
CREATE INDEX "ProjectUser_projectId_idx" ON "ProjectUser" ("projectId") WHERE "projectId" IS NOT NULL;

CREATE TABLE "ContactChannel" (
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "type" "ContactChannelType" NOT NULL,
    "isPrimary" "BooleanTrue",
    "usedForAuth" "BooleanTrue",
    "isVerified" boolean NOT NULL,
    "value" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "projectUserId", "id"),
    UNIQUE ("tenancyId", "projectUserId", "type", "isPrimary"),
    UNIQUE ("tenancyId", "projectUserId", "type", "value"),
    UNIQUE ("tenancyId", "type", "value", "usedForAuth"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "ProjectUserDirectPermission" (
    "id" uuid PRIMARY KEY,
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "permissionId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    UNIQUE ("tenancyId", "projectUserId", "permissionId"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "UserNotificationPreference" (
    "tenancyId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "notificationCategoryId" uuid NOT NULL,
    "enabled" boolean NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    UNIQUE ("tenancyId", "projectUserId", "notificationCategoryId"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);

-- References nothing: a token stays when its user goes, until it is removed or expires.
CREATE TABLE "ProjectUserRefreshToken" (
    "tenancyId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "refreshToken" text NOT NULL UNIQUE,
    "isImpersonation" boolean NOT NULL DEFAULT FALSE,
    "expiresAt" timestamp(3),
    "lastActiveAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "id")
);

CREATE TABLE "ProjectUserOAuthAccount" (
    "tenancyId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "projectUserId" uuid,
    "configOAuthProviderId" text NOT NULL,
    "providerAccountId" text NOT NULL,
    "email" text,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    UNIQUE ("tenancyId", "configOAuthProviderId", "projectUserId", "providerAccountId"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
-- A user's accounts, for the cascade: no unique constraint starts with (tenancy, user).
CREATE INDEX "ProjectUserOAuthAccount_tenancyId_projectUserId_idx" ON "ProjectUserOAuthAccount" ("tenancyId", "projectUserId");

CREATE TABLE "SessionReplay" (
    "tenancyId" uuid NOT NULL REFERENCES "Tenancy" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "id" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "refreshTokenId" uuid NOT NULL,
    "startedAt" timestamp(3) NOT NULL,
    "lastEventAt" timestamp(3) NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "SessionReplay_tenancyId_projectUserId_startedAt_idx"
    ON "SessionReplay" ("tenancyId", "projectUserId", "startedAt");

-- Teams and what hangs on them.

CREATE TABLE "Team" (
    "tenancyId" uuid NOT NULL,
    "teamId" uuid NOT NULL,
    "mirroredProjectId" text NOT NULL,
    "mirroredBranchId" text NOT NULL,
    "displayName" text NOT NULL,
    "profileImageUrl" text,
    "clientMetadata" jsonb,
    "clientReadOnlyMetadata" jsonb,
    "serverMetadata" jsonb,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "teamId"),
    UNIQUE ("mirroredProjectId", "mirroredBranchId", "teamId")
);

CREATE TABLE "TeamMember" (
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "teamId" uuid NOT NULL,
    "displayName" text,
    "profileImageUrl" text,
    "isSelected" "BooleanTrue",
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "projectUserId", "teamId"),
    UNIQUE ("tenancyId", "projectUserId", "isSelected"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY ("tenancyId", "teamId") REFERENCES "Team" ON DELETE CASCADE ON UPDATE CASCADE
);
-- A team's members, for the cascade: the primary key has the user before the team.
CREATE INDEX "TeamMember_tenancyId_teamId_idx" ON "TeamMember" ("tenancyId", "teamId");

CREATE TABLE "TeamMemberDirectPermission" (
    "id" uuid PRIMARY KEY,
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "teamId" uuid NOT NULL,
    "permissionId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    UNIQUE ("tenancyId", "projectUserId", "teamId", "permissionId"),
    FOREIGN KEY ("tenancyId", "projectUserId", "teamId") REFERENCES "TeamMember" ON DELETE CASCADE ON UPDATE CASCADE
);

-- Belongs to the tenancy of its project and branch that has no organisation; there is no column that says so.
CREATE TABLE "VerificationCode" (
    "projectId" text NOT NULL,
    "branchId" text NOT NULL,
    "id" uuid NOT NULL,
    "type" "VerificationCodeType" NOT NULL,
    "code" text NOT NULL,
    "redirectUrl" text,
    "method" jsonb NOT NULL DEFAULT 'null',
    "data" jsonb NOT NULL,
    "attemptCount" integer NOT NULL DEFAULT 0,
    "expiresAt" timestamp(3) NOT NULL,
    "usedAt" timestamp(3),
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("projectId", "branchId", "id"),
    UNIQUE ("projectId", "branchId", "code")
);
CREATE INDEX "VerificationCode_data_idx" ON "VerificationCode" USING gin ("data" jsonb_path_ops);

-- E-mails on their way.

CREATE TABLE "EmailOutbox" (
    "tenancyId" uuid NOT NULL REFERENCES "Tenancy" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "id" uuid NOT NULL,
    "createdWith" "EmailOutboxCreatedWith" NOT NULL,
    "emailDraftId" text,
    "emailProgrammaticCallTemplateId" text,
    "themeId" text,
    "tsxSource" text NOT NULL,
    "to" jsonb NOT NULL,
    "extraRenderVariables" jsonb NOT NULL,
    "isHighPriority" boolean NOT NULL,
    "shouldSkipDeliverabilityCheck" boolean NOT NULL,
    "isPaused" boolean NOT NULL DEFAULT FALSE,
    "renderedByWorkerId" uuid,
    "startedRenderingAt" timestamp(3),
    "finishedRenderingAt" timestamp(3),
    "renderErrorExternalMessage" text,
    "renderedSubject" text,
    "renderedIsTransactional" boolean,
    "renderedNotificationCategoryId" text,
    "scheduledAt" timestamp(3) NOT NULL,
    "isQueued" boolean NOT NULL DEFAULT FALSE,
    "startedSendingAt" timestamp(3),
    "finishedSendingAt" timestamp(3),
    "sendRetries" integer NOT NULL DEFAULT 0,
    "sendServerErrorExternalMessage" text,
    "skippedReason" "EmailOutboxSkippedReason",
    "skippedDetails" jsonb,
    "canHaveDeliveryInfo" boolean,
    "deliveredAt" timestamp(3),
    "deliveryDelayedAt" timestamp(3),
    "bouncedAt" timestamp(3),
    "openedAt" timestamp(3),
    "clickedAt" timestamp(3),
    "unsubscribedAt" timestamp(3),
    "markedAsSpamAt" timestamp(3),
    "sentAt" timestamp(3) GENERATED ALWAYS AS (
        CASE WHEN "canHaveDeliveryInfo" THEN "deliveredAt" WHEN NOT "canHaveDeliveryInfo" THEN "finishedSendingAt" END
    ) STORED,
    "status" "EmailOutboxStatus" NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN "isPaused" THEN 'PAUSED'::"EmailOutboxStatus"
            WHEN "skippedReason" IS NOT NULL THEN 'SKIPPED'
            WHEN "startedRenderingAt" IS NULL THEN 'PREPARING'
            WHEN "finishedRenderingAt" IS NULL THEN 'RENDERING'
            WHEN "renderErrorExternalMessage" IS NOT NULL THEN 'RENDER_ERROR'
            WHEN "startedSendingAt" IS NULL AND NOT "isQueued" THEN 'SCHEDULED'
            WHEN "startedSendingAt" IS NULL THEN 'QUEUED'
            WHEN "finishedSendingAt" IS NULL THEN 'SENDING'
            WHEN "canHaveDeliveryInfo" AND "deliveredAt" IS NULL THEN 'SENDING'
            WHEN "sendServerErrorExternalMessage" IS NOT NULL THEN 'SERVER_ERROR'
            WHEN NOT "canHaveDeliveryInfo" THEN 'SENT'
            WHEN "markedAsSpamAt" IS NOT NULL THEN 'MARKED_AS_SPAM'
            WHEN "clickedAt" IS NOT NULL THEN 'CLICKED'
            WHEN "openedAt" IS NOT NULL THEN 'OPENED'
            WHEN "bouncedAt" IS NOT NULL THEN 'BOUNCED'
            WHEN "deliveryDelayedAt" IS NOT NULL THEN 'DELIVERY_DELAYED'
            ELSE 'SENT'
        END
    ) STORED,
    "simpleStatus" "EmailOutboxSimpleStatus" NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN "skippedReason" IS NOT NULL THEN 'OK'::"EmailOutboxSimpleStatus"
            WHEN "renderErrorExternalMessage" IS NOT NULL OR "sendServerErrorExternalMessage" IS NOT NULL
                OR "bouncedAt" IS NOT NULL THEN 'ERROR'
            WHEN "finishedSendingAt" IS NOT NULL AND (NOT "canHaveDeliveryInfo" OR "deliveredAt" IS NOT NULL) THEN 'OK'
            WHEN "finishedSendingAt" IS NULL OR ("canHaveDeliveryInfo" AND "deliveredAt" IS NULL) THEN 'IN_PROGRESS'
            ELSE 'OK'
        END
    ) STORED,
    "createdAt" timestamp(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC'),
    "updatedAt" timestamp(3) NOT NULL,
    PRIMARY KEY ("tenancyId", "id"),
    CONSTRAINT "EmailOutbox_rendered_by_worker_check"
        CHECK (("startedRenderingAt" IS NULL) = ("renderedByWorkerId" IS NULL)),
    CONSTRAINT "EmailOutbox_can_have_delivery_info_check"
        CHECK (("canHaveDeliveryInfo" IS NULL) = ("finishedSendingAt" IS NULL)),
    CONSTRAINT "EmailOutbox_skipped_details_check" CHECK (("skippedDetails" IS NULL) = ("skippedReason" IS NULL)),
    CONSTRAINT "EmailOutbox_email_draft_check" CHECK ("createdWith" <> 'DRAFT' OR "emailDraftId" IS NOT NULL)
);
