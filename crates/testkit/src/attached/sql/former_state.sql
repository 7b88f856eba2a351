-- The state in which the former sync stopped: of twenty rows, eleven are stamped, four flagged and never stamped, three
-- neither, two changed since they were stamped. Which row is which is drawn from its content.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ProjectUser', 'ContactChannel', 'Team', 'TeamMember', 'TeamMemberDirectPermission',
        'ProjectUserDirectPermission', 'UserNotificationPreference', 'ProjectUserRefreshToken', 'ProjectUserOAuthAccount',
        'SessionReplay', 'VerificationCode', 'EmailOutbox'] LOOP
        EXECUTE format('UPDATE %I AS x SET '
            '"sequenceId" = CASE WHEN draw < 11 OR draw >= 18 THEN nextval(''global_seq_id'') END, '
            '"shouldUpdateSequenceId" = draw BETWEEN 11 AND 14 OR draw >= 18 '
            'FROM (SELECT ctid AS place, abs(hashtext(y::text) %% 20) AS draw FROM %I AS y) AS drawn WHERE x.ctid = place',
            name, name);
    END LOOP;
END
$$;

-- Tombstones of rows with an id: the primary key names tenancy and id alone; the natural key is in the row that `data` holds.
-- Of ten rows one is deleted, and one was deleted and exists again with the same id and key.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['TeamMemberDirectPermission', 'ProjectUserDirectPermission', 'UserNotificationPreference',
        'ProjectUserRefreshToken', 'ProjectUserOAuthAccount', 'SessionReplay', 'EmailOutbox'] LOOP
        EXECUTE format('INSERT INTO "DeletedRow" '
            '("id", "tenancyId", "tableName", "primaryKey", "data", "deletedAt", "sequenceId", "shouldUpdateSequenceId") '
            'SELECT md5(%L || x."id"::text)::uuid, x."tenancyId", %L, '
            'jsonb_build_object(''tenancyId'', x."tenancyId", ''id'', x."id"), to_jsonb(x), ''2025-06-01 10:00:00'', '
            'CASE WHEN hashtext(x."id"::text) %% 3 = 0 THEN NULL ELSE nextval(''global_seq_id'') END, '
            'hashtext(x."id"::text) %% 3 = 0 '
            'FROM %I AS x WHERE abs(hashtext(x."id"::text) %% 10) < 2', name, name, name);
        EXECUTE format('DELETE FROM %I AS x WHERE hashtext(x."id"::text) %% 10 = 0', name);
    END LOOP;
END
$$;

-- Invitations, under a name of their own.
INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "data", "deletedAt", "sequenceId", "shouldUpdateSequenceId")
SELECT
    md5('VerificationCode' || x."id"::text)::uuid, tenancy."id", 'VerificationCode_TEAM_INVITATION',
    jsonb_build_object('tenancyId', tenancy."id", 'id', x."id"), to_jsonb(x), '2025-06-01 10:00:00', nextval('global_seq_id'), FALSE
FROM "VerificationCode" AS x
JOIN "Tenancy" AS tenancy USING ("projectId", "branchId")
WHERE x."type" = 'TEAM_INVITATION' AND tenancy."hasNoOrganization" = 'TRUE' AND abs(hashtext(x."id"::text) % 10) < 2;
DELETE FROM "VerificationCode" AS x WHERE x."type" = 'TEAM_INVITATION' AND hashtext(x."id"::text) % 10 = 0;

-- Users, channels, teams and members carry their whole key. One in ten was deleted and exists again, another left for good (its
-- tombstone is written for a made-up id here, so that nothing cascades).
INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "data", "sequenceId", "shouldUpdateSequenceId")
SELECT md5('again' || tombstone::text)::uuid, "tenancyId", "tableName", "primaryKey", "data", nextval('global_seq_id'), FALSE
FROM (
    SELECT "tenancyId", 'ProjectUser' AS "tableName",
        jsonb_build_object('tenancyId', "tenancyId", 'projectUserId', "projectUserId") AS "primaryKey", to_jsonb(x) AS "data"
    FROM "ProjectUser" AS x
    UNION ALL
    SELECT "tenancyId", 'ContactChannel',
        jsonb_build_object('tenancyId', "tenancyId", 'projectUserId', "projectUserId", 'id', "id"), to_jsonb(x)
    FROM "ContactChannel" AS x
    UNION ALL
    SELECT "tenancyId", 'Team', jsonb_build_object('tenancyId', "tenancyId", 'teamId', "teamId"), to_jsonb(x)
    FROM "Team" AS x
    UNION ALL
    SELECT "tenancyId", 'TeamMember',
        jsonb_build_object('tenancyId', "tenancyId", 'projectUserId', "projectUserId", 'teamId', "teamId"), to_jsonb(x)
    FROM "TeamMember" AS x
) AS tombstone
WHERE hashtext("primaryKey"::text) % 10 = 0;
INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "data", "sequenceId", "shouldUpdateSequenceId")
SELECT
    md5('gone' || "id"::text)::uuid, "tenancyId", "tableName",
    "primaryKey" || jsonb_build_object('projectUserId', md5('gone' || "id"::text)::uuid),
    "data" || jsonb_build_object('projectUserId', md5('gone' || "id"::text)::uuid),
    NULL, TRUE
FROM "DeletedRow"
WHERE "tableName" IN ('ProjectUser', 'ContactChannel', 'TeamMember');

-- Tombstones that say too little or nothing: no UUID, no data to find the natural key in, no key, no object at all, a table and
-- a tenancy that do not exist. Stamped and not.
INSERT INTO "DeletedRow" ("id", "tenancyId", "tableName", "primaryKey", "data", "sequenceId", "shouldUpdateSequenceId")
SELECT
    md5('broken' || number || tenancy::text)::uuid,
    CASE WHEN number = 9 THEN md5('no such tenancy')::uuid ELSE tenancy END,
    name, key::jsonb, data::jsonb,
    CASE WHEN number % 2 = 0 THEN nextval('global_seq_id') END,
    number % 2 = 1
FROM (SELECT "id" AS tenancy FROM "Tenancy" ORDER BY "id" LIMIT 2) AS tenancies
CROSS JOIN (VALUES
    (0, 'ProjectUserDirectPermission', '{"id": "not-a-uuid"}', '{"projectUserId": "neither", "permissionId": "x"}'),
    (1, 'TeamMemberDirectPermission', '{"id": "4f6f8873-3d04-46bd-8bef-18338b1a1b4c"}', NULL),
    (2, 'UserNotificationPreference', '{"id": "4f6f8873-3d04-46bd-8bef-18338b1a1b4c"}', 'null'),
    (3, 'ProjectUserOAuthAccount', '{"id": 7}', '[]'),
    (4, 'ProjectUser', '{}', NULL),
    (5, 'ProjectUser', '{"projectUserId": null}', '{}'),
    (6, 'Team', 'null', '"text"'),
    (7, 'Team', '[]', NULL),
    (8, 'TableThatIsGone', '{"id": "4f6f8873-3d04-46bd-8bef-18338b1a1b4c"}', NULL),
    (9, 'ProjectUser', '{"projectUserId": "4f6f8873-3d04-46bd-8bef-18338b1a1b4c"}', NULL),
    (10, 'VerificationCode_TEAM_INVITATION', '{"id": "not-a-uuid"}', NULL),
    (11, 'EmailOutbox', '{"id": "\u007f"}', '{"id": 1}')
) AS broken (number, name, key, data);
