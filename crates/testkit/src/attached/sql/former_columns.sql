-- What the platform's former in-app sync added to its tables: columns, a sequence of its own step, indexes and checks.

CREATE SEQUENCE global_seq_id AS bigint START 1 INCREMENT BY 11;

CREATE TABLE "DeletedRow" (
    "id" uuid NOT NULL PRIMARY KEY,
    "tenancyId" uuid NOT NULL,
    "tableName" text NOT NULL,
    "sequenceId" bigint,
    "primaryKey" jsonb NOT NULL,
    "data" jsonb,
    "deletedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedFulfillingAt" timestamp(3),
    "shouldUpdateSequenceId" boolean NOT NULL DEFAULT TRUE
);
CREATE UNIQUE INDEX "DeletedRow_sequenceId_key" ON "DeletedRow" ("sequenceId");
CREATE INDEX "DeletedRow_tenancyId_tableName_sequenceId_idx" ON "DeletedRow" ("tenancyId", "tableName", "sequenceId");
CREATE INDEX "DeletedRow_shouldUpdateSequenceId_idx"
    ON "DeletedRow" ("shouldUpdateSequenceId", "tenancyId") WHERE "shouldUpdateSequenceId";

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ProjectUser', 'ContactChannel', 'Team', 'TeamMember', 'TeamMemberDirectPermission',
        'ProjectUserDirectPermission', 'UserNotificationPreference', 'ProjectUserRefreshToken', 'ProjectUserOAuthAccount',
        'SessionReplay', 'VerificationCode', 'EmailOutbox'] LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN "sequenceId" bigint, '
            'ADD COLUMN "shouldUpdateSequenceId" boolean NOT NULL DEFAULT TRUE', name);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK ("sequenceId" > 0)', name, name || '_sequenceId_check');
        EXECUTE format('CREATE UNIQUE INDEX %I ON %I ("sequenceId")', name || '_sequenceId_key', name);
        -- A code has no tenancyId.
        IF name <> 'VerificationCode' THEN
            EXECUTE format('CREATE INDEX %I ON %I ("tenancyId", "sequenceId")', name || '_tenancyId_sequenceId_idx', name);
        END IF;
        EXECUTE format('CREATE INDEX %I ON %I ("shouldUpdateSequenceId", %s) WHERE "shouldUpdateSequenceId"',
            name || '_shouldUpdateSequenceId_idx', name,
            CASE name WHEN 'VerificationCode' THEN '"projectId", "branchId"' ELSE '"tenancyId"' END);
    END LOOP;
END
$$;
