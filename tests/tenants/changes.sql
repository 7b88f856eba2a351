-- Everything that can happen to the rows of a tenancy, step by step, in the world of `world.sql`.

-- step: rows come into being in every table
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "clientMetadata", "serverMetadata", "signedUpAt", "updatedAt")
VALUES (id('engines'), id('alan'), 'engines', 'main', 'Ålan "T"', '{"b": [1, 1.50, null], "a": "\\"}', 'null', 'infinity', now()),
    (id('engines'), id('joan'), 'engines', 'main', NULL, NULL, '"text"', '0001-01-01', now());
INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "usedForAuth", "value", "updatedAt")
VALUES (id('engines'), id('alan'), id('alan'), 'EMAIL', 'TRUE', TRUE, 'TRUE', 'alan@example.com', now());
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "clientMetadata", "updatedAt")
VALUES (id('engines'), id('bombe'), 'engines', 'main', E'Bombe\t\\N', '[]', now());
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
VALUES (id('engines'), id('alan'), id('bombe'), 'alan of bombe', now()), (id('engines'), id('joan'), id('bombe'), NULL, now());
INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
VALUES (id('alan bombe'), id('engines'), id('alan'), id('bombe'), 'program', now());
INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
VALUES (id('may alan'), id('engines'), id('alan'), 'publish', now());
INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
VALUES (id('engines'), id('notify alan'), id('alan'), id('news'), FALSE);
INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "method", "data", "expiresAt", "updatedAt")
VALUES ('engines', 'main', id('to bombe'), 'TEAM_INVITATION', 'secret-bombe', '{"email": "joan@example.com"}', jsonb_build_object('team_id', id('bombe')), '2030-01-01', now()),
    ('engines', 'main', id('to nowhere'), 'TEAM_INVITATION', 'secret-nowhere', '{"email": 7}', '{"team_id": "none"}', '-infinity', now());
INSERT INTO "EmailOutbox" ("tenancyId", "id", "createdWith", "emailDraftId", "tsxSource", "to", "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck", "scheduledAt", "skippedReason", "skippedDetails", "updatedAt")
VALUES (id('engines'), id('skipped'), 'DRAFT', 'draft', 'secret-source', '{}', '{}', TRUE, FALSE, '2025-01-01 00:00:00.123', 'NO_EMAIL_PROVIDED', '{"why": [true]}', now());
INSERT INTO "SessionReplay" ("tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt")
VALUES (id('engines'), id('replay of alan'), id('alan'), id('token of alan'), '2025-01-01', '2025-01-02', now());
INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
VALUES (id('engines'), id('token of alan'), id('alan'), 'secret-alan', now());
INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email", "updatedAt")
VALUES (id('engines'), id('account turing'), id('alan'), 'github', 'turing', NULL, now());

-- step: rows of every table change
UPDATE "ProjectUser" SET "displayName" = "displayName" || ' II', "isAnonymous" = TRUE, "clientMetadata" = '{"n": 1.0}' WHERE "tenancyId" = id('engines');
UPDATE "ContactChannel" SET "value" = 'new-' || "value", "isVerified" = NOT "isVerified" WHERE "tenancyId" = id('engines');
UPDATE "Team" SET "displayName" = 'New ' || "displayName", "profileImageUrl" = '' WHERE "tenancyId" = id('engines');
UPDATE "TeamMember" SET "displayName" = NULL WHERE "tenancyId" = id('engines');
UPDATE "TeamMemberDirectPermission" SET "createdAt" = '2020-02-02' WHERE "tenancyId" = id('engines');
UPDATE "ProjectUserDirectPermission" SET "createdAt" = '2020-02-02' WHERE "tenancyId" = id('engines');
UPDATE "UserNotificationPreference" SET "enabled" = NOT "enabled" WHERE "tenancyId" = id('engines');
UPDATE "VerificationCode" SET "method" = '{"email": "changed@example.com"}' WHERE "projectId" = 'engines';
UPDATE "EmailOutbox" SET "isPaused" = TRUE, "sendRetries" = 3 WHERE "tenancyId" = id('engines');
UPDATE "SessionReplay" SET "lastEventAt" = '2025-03-03 03:03:03.333' WHERE "tenancyId" = id('engines');
UPDATE "ProjectUserRefreshToken" SET "expiresAt" = 'infinity', "isImpersonation" = TRUE WHERE "tenancyId" = id('engines');
UPDATE "ProjectUserOAuthAccount" SET "email" = 'changed@example.com' WHERE "tenancyId" = id('engines');

-- step: the primary address goes to another channel
UPDATE "ContactChannel" SET "isPrimary" = NULL WHERE "id" = id('ada');
UPDATE "ContactChannel" SET "isPrimary" = 'TRUE' WHERE "id" = id('lovelace');

-- step: keys change
UPDATE "ProjectUser" SET "projectUserId" = id('babbage') WHERE "projectUserId" = id('charles');
UPDATE "Team" SET "teamId" = id('enigma') WHERE "teamId" = id('bombe');
UPDATE "ContactChannel" SET "id" = id('countess') WHERE "id" = id('lovelace');
UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('mary') WHERE "id" = id('account turing');
UPDATE "ProjectUserDirectPermission" SET "permissionId" = 'review' WHERE "id" = id('may alan');
UPDATE "TeamMemberDirectPermission" SET "permissionId" = 'review' WHERE "id" = id('alan bombe');
UPDATE "UserNotificationPreference" SET "notificationCategoryId" = id('sport') WHERE "id" = id('notify alan');
UPDATE "ProjectUserRefreshToken" SET "id" = id('other token') WHERE "id" = id('token of alan');
UPDATE "EmailOutbox" SET "id" = id('other letter') WHERE "id" = id('skipped');
UPDATE "SessionReplay" SET "id" = id('other replay') WHERE "id" = id('replay of alan');

-- step: two rows take each other's key
UPDATE "ProjectUserOAuthAccount" SET "providerAccountId" = 'swapping' WHERE "id" = id('account countess');
UPDATE "ProjectUserOAuthAccount" SET "providerAccountId" = 'countess', "projectUserId" = id('ada') WHERE "id" = id('account baronet');
UPDATE "ProjectUserOAuthAccount" SET "providerAccountId" = 'baronet', "projectUserId" = id('babbage') WHERE "id" = id('account countess');

-- step: rows leave their mapping
UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = NULL WHERE "id" = id('account turing');
UPDATE "VerificationCode" SET "type" = 'PASSWORD_RESET' WHERE "id" = id('to bombe');

-- step: they come back, and one comes that was not there
UPDATE "ProjectUserOAuthAccount" SET "projectUserId" = id('joan') WHERE "id" IN (id('account turing'), id('account nobody'));
UPDATE "VerificationCode" SET "type" = 'TEAM_INVITATION' WHERE "id" IN (id('to bombe'), id('password'));

-- step: rows go and come back in one transaction
DELETE FROM "TeamMember" WHERE "projectUserId" = id('joan');
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
VALUES (id('engines'), id('joan'), id('enigma'), 'again', now());
DELETE FROM "ProjectUserDirectPermission" WHERE "id" = id('may alan');
INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "createdAt", "updatedAt")
VALUES (id('may alan again'), id('engines'), id('alan'), 'review', '2021-01-01', now());

-- step: a row of every table is deleted
DELETE FROM "ContactChannel" WHERE "id" = id('alan');
DELETE FROM "TeamMemberDirectPermission" WHERE "id" = id('alan bombe');
DELETE FROM "ProjectUserDirectPermission" WHERE "id" = id('may alan again');
DELETE FROM "UserNotificationPreference" WHERE "id" = id('notify alan');
DELETE FROM "VerificationCode" WHERE "id" = id('to nowhere');
DELETE FROM "EmailOutbox" WHERE "id" = id('other letter');
DELETE FROM "SessionReplay" WHERE "id" = id('other replay');
DELETE FROM "ProjectUserRefreshToken" WHERE "id" = id('other token');
DELETE FROM "ProjectUserOAuthAccount" WHERE "id" = id('account turing');
DELETE FROM "TeamMember" WHERE "projectUserId" = id('joan');
DELETE FROM "ProjectUser" WHERE "projectUserId" = id('joan');
DELETE FROM "Team" WHERE "teamId" = id('enigma');

-- step: a user comes back after a while
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('engines'), id('joan'), 'engines', 'main', 'Joan again', now());

-- step: the tenancy moves to another branch
UPDATE "Tenancy" SET "branchId" = 'next' WHERE "id" = id('engines');

-- step: and back, under another project
UPDATE "Project" SET "id" = 'calculators' WHERE "id" = 'engines';
UPDATE "Tenancy" SET "branchId" = 'main' WHERE "id" = id('engines');

-- step: a user goes with everything that is the user's
DELETE FROM "ProjectUser" WHERE "projectUserId" = id('ada');

-- step: a team goes, and its invitations stay
DELETE FROM "Team" WHERE "teamId" = id('analytical');

-- step: a table is emptied
TRUNCATE "ProjectUserRefreshToken";

-- step: tables are emptied with those that hang on them
TRUNCATE "ProjectUser" CASCADE;

-- step: rows come back into tables that were emptied
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('engines'), id('ada'), 'calculators', 'main', 'Ada', now()), (id('compilers'), id('grace'), 'compilers', 'main', 'Grace', now());

-- step: the tenancy goes and comes back
DELETE FROM "Tenancy" WHERE "id" = id('engines');
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('engines'), 'calculators', 'main', 'TRUE', now());
