-- A small world: two projects, a few rows in every table, known by name. `id('ada')` is the id of Ada, in whatever table.
CREATE FUNCTION id(name text) RETURNS uuid IMMUTABLE LANGUAGE sql RETURN md5(name)::uuid;

INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES
    ('engines', 'Engines', TRUE, now()), ('compilers', 'Compilers', TRUE, now());
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES
    (id('engines'), 'engines', 'main', 'TRUE', now()), (id('compilers'), 'compilers', 'main', 'TRUE', now());

INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT id(project), id(name), project, 'main', name, now()
FROM (VALUES ('engines', 'ada'), ('engines', 'charles'), ('engines', 'mary'), ('compilers', 'grace')) AS people (project, name);
INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
SELECT id(project), id(name), id(channel), 'EMAIL', is_primary::"BooleanTrue", is_primary IS NOT NULL, channel || '@example.com', now()
FROM (VALUES
    ('engines', 'ada', 'ada', 'TRUE'), ('engines', 'ada', 'lovelace', NULL), ('engines', 'charles', 'charles', 'TRUE'),
    ('compilers', 'grace', 'grace', 'TRUE')
) AS channels (project, name, channel, is_primary);
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT id(project), id(team), project, 'main', team, now()
FROM (VALUES ('engines', 'difference'), ('engines', 'analytical'), ('compilers', 'cobol')) AS teams (project, team);
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
SELECT id(project), id(name), id(team), name || ' of ' || team, now()
FROM (VALUES
    ('engines', 'ada', 'analytical'), ('engines', 'charles', 'analytical'), ('engines', 'charles', 'difference'),
    ('compilers', 'grace', 'cobol')
) AS members (project, name, team);
INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
SELECT id(name || team), id(project), id(name), id(team), 'program', now()
FROM (VALUES ('engines', 'ada', 'analytical'), ('engines', 'charles', 'difference'), ('compilers', 'grace', 'cobol'))
    AS permissions (project, name, team);
INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
SELECT id('may ' || name), "tenancyId", "projectUserId", 'publish', now()
FROM "ProjectUser" JOIN (VALUES ('ada'), ('charles'), ('grace')) AS named (name) ON "projectUserId" = id(name);
INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
SELECT "tenancyId", id('notify ' || name), "projectUserId", id('news'), TRUE
FROM "ProjectUser" JOIN (VALUES ('ada'), ('grace')) AS named (name) ON "projectUserId" = id(name);
INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "method", "data", "expiresAt", "updatedAt")
SELECT project, 'main', id(code), type::"VerificationCodeType", 'secret-' || code, '{"email": "guest@example.com"}',
    jsonb_build_object('team_id', id(team)), '2030-01-01', now()
FROM (VALUES
    ('engines', 'invitation', 'TEAM_INVITATION', 'analytical'), ('engines', 'other invitation', 'TEAM_INVITATION', 'difference'),
    ('engines', 'password', 'ONE_TIME_PASSWORD', 'analytical'), ('compilers', 'invitation to cobol', 'TEAM_INVITATION', 'cobol')
) AS codes (project, code, type, team);
INSERT INTO "EmailOutbox" ("tenancyId", "id", "createdWith", "emailDraftId", "tsxSource", "to", "extraRenderVariables",
    "isHighPriority", "shouldSkipDeliverabilityCheck", "scheduledAt", "updatedAt")
SELECT id(project), id(email), 'DRAFT', 'draft', 'secret-source', '{}', '{}', FALSE, FALSE, '2025-01-01', now()
FROM (VALUES ('engines', 'letter'), ('engines', 'postcard'), ('compilers', 'manual')) AS emails (project, email);
INSERT INTO "SessionReplay" ("tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt")
SELECT "tenancyId", id('replay of ' || name), "projectUserId", id('token of ' || name), '2025-01-01', '2025-01-02', now()
FROM "ProjectUser" JOIN (VALUES ('ada'), ('charles'), ('grace')) AS named (name) ON "projectUserId" = id(name);
INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
SELECT "tenancyId", id('token of ' || name), "projectUserId", 'secret-' || name, now()
FROM "ProjectUser" JOIN (VALUES ('ada'), ('charles'), ('grace')) AS named (name) ON "projectUserId" = id(name);
INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email", "updatedAt")
SELECT id(project), id('account ' || account), id(name), 'github', account, account || '@example.com', now()
FROM (VALUES ('engines', 'ada', 'countess'), ('engines', 'charles', 'baronet'), ('engines', NULL, 'nobody'), ('compilers', 'grace', 'admiral'))
    AS accounts (project, name, account);
