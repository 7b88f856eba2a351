-- The source tables as another tool created and altered them over years: other column order, columns that no mapping knows.

CREATE TYPE "BooleanTrue" AS ENUM ('TRUE');
CREATE TYPE "ContactChannelType" AS ENUM ('EMAIL');
CREATE TYPE "VerificationCodeType" AS ENUM (
    'ONE_TIME_PASSWORD', 'PASSWORD_RESET', 'CONTACT_CHANNEL_VERIFICATION', 'TEAM_INVITATION', 'MFA_ATTEMPT'
);
ALTER TYPE "VerificationCodeType" ADD VALUE 'PASSKEY_REGISTRATION_CHALLENGE' BEFORE 'MFA_ATTEMPT';
ALTER TYPE "VerificationCodeType" ADD VALUE 'PASSKEY_AUTHENTICATION_CHALLENGE';
ALTER TYPE "VerificationCodeType" ADD VALUE 'INTEGRATION_PROJECT_TRANSFER';
ALTER TYPE "VerificationCodeType" ADD VALUE 'PURCHASE_URL';
CREATE TYPE "EmailOutboxStatus" AS ENUM (
    'PAUSED', 'PREPARING', 'RENDERING', 'RENDER_ERROR', 'SCHEDULED', 'QUEUED', 'SENDING', 'SERVER_ERROR', 'SENT', 'SKIPPED',
    'DELIVERY_DELAYED', 'BOUNCED', 'OPENED', 'CLICKED', 'MARKED_AS_SPAM'
);
CREATE TYPE "EmailOutboxSimpleStatus" AS ENUM ('OK', 'ERROR', 'IN_PROGRESS');
CREATE TYPE "EmailOutboxCreatedWith" AS ENUM ('PROGRAMMATIC_CALL', 'DRAFT');
CREATE TYPE "EmailOutboxSkippedReason" AS ENUM (
    'USER_ACCOUNT_DELETED', 'USER_UNSUBSCRIBED', 'USER_HAS_NO_PRIMARY_EMAIL', 'NO_EMAIL_PROVIDED', 'LIKELY_NOT_DELIVERABLE',
    'MANUALLY_CANCELLED'
);

CREATE TABLE "Project" (
    "id" text NOT NULL PRIMARY KEY,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "displayName" text NOT NULL,
    "description" text NOT NULL DEFAULT '',
    "isProductionMode" boolean NOT NULL,
    "ownerTeamId" uuid,
    "logoUrl" text
);

CREATE TABLE "Tenancy" (
    "id" uuid NOT NULL PRIMARY KEY,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "branchId" text NOT NULL,
    "projectId" text NOT NULL REFERENCES "Project" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    "hasNoOrganization" "BooleanTrue",
    "organizationId" uuid,
    "emailCapacity" integer NOT NULL DEFAULT 100
);
CREATE UNIQUE INDEX "Tenancy_projectId_branchId_organizationId_key" ON "Tenancy" ("projectId", "branchId", "organizationId");
CREATE UNIQUE INDEX "Tenancy_projectId_branchId_hasNoOrganization_key"
    ON "Tenancy" ("projectId", "branchId", "hasNoOrganization");

CREATE TABLE "ProjectUser" (
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "displayName" text,
    "legacyName" text,
    "serverMetadata" jsonb,
    "clientMetadata" jsonb,
    "profileImageUrl" text,
    "requiresTotpMfa" boolean NOT NULL DEFAULT FALSE,
    "totpSecret" bytea,
    "clientReadOnlyMetadata" jsonb,
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "mirroredProjectId" text NOT NULL,
    "mirroredBranchId" text NOT NULL,
    "isAnonymous" boolean NOT NULL DEFAULT FALSE,
    "projectId" text,
    "lastActiveAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "restrictedByAdminPrivateDetails" text,
    "restrictedByAdminReason" text,
    "restrictedByAdmin" boolean NOT NULL DEFAULT FALSE,
    "signUpCountry" text,
    "signedUpAt" timestamp(3),
    CONSTRAINT "ProjectUser_pkey" PRIMARY KEY ("tenancyId", "projectUserId"),
    CONSTRAINT "ProjectUser_projectId_fkey"
        FOREIGN KEY ("projectId") REFERENCES "Project" ("id") ON DELETE SET NULL ON UPDATE CASCADE
);
-- A dropped column leaves a hole in the column numbers.
ALTER TABLE "ProjectUser" DROP COLUMN "legacyName";
ALTER TABLE "ProjectUser" ADD CONSTRAINT "ProjectUser_restricted_by_admin_consistency" CHECK (
    "restrictedByAdmin" OR ("restrictedByAdminReason" IS NULL AND "restrictedByAdminPrivateDetails" IS NULL)
);
CREATE UNIQUE INDEX "ProjectUser_mirroredProjectId_mirroredBranchId_projectUserI_key"
    ON "ProjectUser" ("mirroredProjectId", "mirroredBranchId", "projectUserId");
CREATE INDEX "ProjectUser_lastActiveAt_desc" ON "ProjectUser" ("tenancyId", "lastActiveAt" DESC);
CREATE INDEX "ProjectUser_createdAt_desc" ON "ProjectUser" ("tenancyId", "createdAt" DESC);

CREATE TABLE "ContactChannel" (
    "tenancyId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "id" uuid NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "value" text NOT NULL,
    "isVerified" boolean NOT NULL,
    "usedForAuth" "BooleanTrue",
    "isPrimary" "BooleanTrue",
    "type" "ContactChannelType" NOT NULL,
    "bounceCount" integer NOT NULL DEFAULT 0,
    PRIMARY KEY ("tenancyId", "projectUserId", "id"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "ContactChannel" ("tenancyId", "projectUserId", "type", "isPrimary");
CREATE UNIQUE INDEX ON "ContactChannel" ("tenancyId", "projectUserId", "type", "value");
CREATE UNIQUE INDEX ON "ContactChannel" ("tenancyId", "type", "value", "usedForAuth");

CREATE TABLE "Team" (
    "tenancyId" uuid NOT NULL,
    "teamId" uuid NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "serverMetadata" jsonb,
    "clientReadOnlyMetadata" jsonb,
    "clientMetadata" jsonb,
    "displayName" text NOT NULL,
    "profileImageUrl" text,
    "mirroredBranchId" text NOT NULL,
    "mirroredProjectId" text NOT NULL,
    PRIMARY KEY ("tenancyId", "teamId")
);
CREATE UNIQUE INDEX ON "Team" ("mirroredProjectId", "mirroredBranchId", "teamId");

CREATE TABLE "TeamMember" (
    "tenancyId" uuid NOT NULL,
    "teamId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "isSelected" "BooleanTrue",
    "profileImageUrl" text,
    "displayName" text,
    "updatedAt" timestamp(3) NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY ("tenancyId", "projectUserId", "teamId"),
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY ("tenancyId", "teamId") REFERENCES "Team" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "TeamMember" ("tenancyId", "projectUserId", "isSelected");

CREATE TABLE "TeamMemberDirectPermission" (
    "id" uuid NOT NULL PRIMARY KEY,
    "permissionId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "grantedBy" uuid,
    "teamId" uuid NOT NULL,
    "projectUserId" uuid NOT NULL,
    "tenancyId" uuid NOT NULL,
    FOREIGN KEY ("tenancyId", "projectUserId", "teamId") REFERENCES "TeamMember" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "TeamMemberDirectPermission" ("tenancyId", "projectUserId", "teamId", "permissionId");

CREATE TABLE "ProjectUserDirectPermission" (
    "id" uuid NOT NULL PRIMARY KEY,
    "permissionId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "projectUserId" uuid NOT NULL,
    "tenancyId" uuid NOT NULL,
    FOREIGN KEY ("tenancyId", "projectUserId") REFERENCES "ProjectUser" ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX ON "ProjectUserDirectPermission" ("tenancyId", "projectUserId", "permissionId");
