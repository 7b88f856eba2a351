-- edit: team inserted
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "serverMetadata", "updatedAt")
VALUES ('{tenancy}', '{fresh}', '{project}', '{branch}', 'Neues Team {number}', '{"edit": {number}}', {now});
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "updatedAt")
SELECT '{tenancy}', usr, '{fresh}', {now} FROM {user} AS found (usr) WHERE usr IS NOT NULL;

-- edit: team renamed
-- Its invitations show the name.
UPDATE "Team" SET "displayName" = 'Umbenannt 🚀 {number}', "updatedAt" = {now} WHERE "tenancyId" = '{tenancy}' AND "teamId" = {team};

-- edit: team changed
UPDATE "Team"
SET
    "clientMetadata" = CASE {number} % 3 WHEN 0 THEN NULL WHEN 1 THEN 'null' ELSE '{"größe": {number}}'::jsonb END,
    "profileImageUrl" = CASE {number} % 2 WHEN 0 THEN 'https://images.example.com/{number}' END,
    "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND "teamId" = {team};

-- edit: team deleted
DELETE FROM "Team" WHERE "tenancyId" = '{tenancy}' AND "teamId" = {team};

-- edit: team id changed
UPDATE "Team" SET "teamId" = '{fresh}' WHERE "tenancyId" = '{tenancy}' AND "teamId" = {team};

-- edit: member joined
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
SELECT '{tenancy}', usr, team, CASE {number} % 2 WHEN 0 THEN 'Neu hier' END, {now}
FROM {user} AS found_user (usr), {team} AS found_team (team)
WHERE usr IS NOT NULL AND team IS NOT NULL
ON CONFLICT DO NOTHING;

-- edit: member changed
UPDATE "TeamMember"
SET "displayName" = CASE {number} % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'Rolle {number}' END, "updatedAt" = {now}
WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "teamId") = {member};

-- edit: member left
-- Permissions in the team go with the member.
DELETE FROM "TeamMember" WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "teamId") = {member};

-- edit: member left and rejoined
DO $$
DECLARE
    usr uuid;
    team uuid;
BEGIN
    DELETE FROM "TeamMember" WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "teamId") = {member}
    RETURNING "projectUserId", "teamId" INTO usr, team;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
    VALUES ('{tenancy}', usr, team, 'Back {number}', {now});
    INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
    VALUES ('{fresh}', '{tenancy}', usr, team, 'team_member', {now});
END
$$;

-- edit: member left, then rejoined
-- In two transactions, so that a sync may run between.
DO $$
DECLARE
    usr uuid;
    team uuid;
BEGIN
    DELETE FROM "TeamMember" WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "teamId") = {member}
    RETURNING "projectUserId", "teamId" INTO usr, team;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    COMMIT;
    INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
    VALUES ('{tenancy}', usr, team, 'Back later {number}', {now});
END
$$;

-- edit: team permission granted
INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
SELECT '{fresh}', '{tenancy}', "projectUserId", "teamId", (ARRAY['team_member', 'team_admin', 'größer/als'])[1 + {number} % 3], {now}
FROM "TeamMember"
WHERE "tenancyId" = '{tenancy}' AND ("projectUserId", "teamId") = {member}
ON CONFLICT DO NOTHING;

-- edit: team permission revoked
DELETE FROM "TeamMemberDirectPermission" WHERE "id" = {team_permission};

-- edit: team permission revoked and granted again
DO $$
DECLARE
    old "TeamMemberDirectPermission";
BEGIN
    DELETE FROM "TeamMemberDirectPermission" WHERE "id" = {team_permission} RETURNING * INTO old;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
    VALUES ('{fresh}', old."tenancyId", old."projectUserId", old."teamId", old."permissionId", {now});
END
$$;

-- edit: project permission granted
INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
SELECT '{fresh}', '{tenancy}', usr, (ARRAY['billing:read', 'billing:write', '$admin'])[1 + {number} % 3], {now}
FROM {user} AS found (usr) WHERE usr IS NOT NULL
ON CONFLICT DO NOTHING;

-- edit: project permission revoked
DELETE FROM "ProjectUserDirectPermission" WHERE "id" = {project_permission};

-- edit: project permission revoked and granted again
DO $$
DECLARE
    old "ProjectUserDirectPermission";
BEGIN
    DELETE FROM "ProjectUserDirectPermission" WHERE "id" = {project_permission} RETURNING * INTO old;
    IF NOT FOUND THEN RAISE no_data_found; END IF;
    INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
    VALUES ('{fresh}', old."tenancyId", old."projectUserId", old."permissionId", {now});
END
$$;
