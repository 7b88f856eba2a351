UPDATE "ProjectUser" SET "displayName" = 'plain' WHERE "projectUserId" = id('ada')

DELETE FROM "ContactChannel" WHERE "id" = id('lovelace')

INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt")
VALUES (id('engines'), id('ada'), id('second'), 'EMAIL', FALSE, 'second@example.com', now())

SET search_path = '';
INSERT INTO public."ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt")
VALUES (public.id('engines'), public.id('ada'), public.id('third'), 'EMAIL', FALSE, 'third@example.com', now());
RESET search_path

INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('engines'), id('mary'), 'engines', 'main', 'upserted', now()), (id('engines'), id('emmy'), 'engines', 'main', 'emmy', now())
ON CONFLICT ("tenancyId", "projectUserId") DO UPDATE SET "displayName" = EXCLUDED."displayName"

MERGE INTO "ContactChannel" c USING (VALUES (id('ada'), 'u'), (id('charles'), 'd'), (id('merged'), 'i')) v (id, what) ON c."id" = v.id
WHEN MATCHED AND v.what = 'u' THEN UPDATE SET "value" = 'merged@example.com'
WHEN MATCHED AND v.what = 'd' THEN DELETE
WHEN NOT MATCHED THEN INSERT ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt")
VALUES (id('engines'), id('mary'), v.id, 'EMAIL', FALSE, 'inserted@example.com', now())

CREATE TEMPORARY VIEW people AS SELECT "tenancyId", "projectUserId", "displayName" FROM "ProjectUser";
UPDATE people SET "displayName" = 'through a view' WHERE "projectUserId" = id('charles');
DELETE FROM people WHERE "projectUserId" = id('emmy')

BEGIN; SAVEPOINT a; DELETE FROM "ContactChannel"; UPDATE "ProjectUser" SET "displayName" = 'no'; ROLLBACK TO a;
UPDATE "Team" SET "displayName" = 'after a savepoint' WHERE "teamId" = id('cobol'); COMMIT

BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM "Team";
UPDATE "Team" SET "clientMetadata" = '{"n": 1.50}' WHERE "teamId" = id('analytical'); COMMIT

BEGIN ISOLATION LEVEL REPEATABLE READ; TRUNCATE "ProjectUserRefreshToken"; COMMIT

SET CONSTRAINTS ALL DEFERRED; UPDATE "ProjectUser" SET "projectUserId" = id('countess') WHERE "projectUserId" = id('ada')

WITH gone AS (DELETE FROM "TeamMember" WHERE "projectUserId" = id('grace') RETURNING *)
INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
SELECT "tenancyId", "projectUserId", "teamId", 'again', now() FROM gone

CREATE TEMPORARY TABLE letters AS SELECT * FROM "SessionReplay" LIMIT 0;
TRUNCATE "SessionReplay";
INSERT INTO "SessionReplay" ("tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "updatedAt")
SELECT id('engines'), gen_random_uuid(), id('mary'), id('token'), now(), now(), now() FROM generate_series(1, 20)

DO $$ BEGIN
    BEGIN DELETE FROM "ProjectUser"; RAISE EXCEPTION 'undone'; EXCEPTION WHEN raise_exception THEN NULL; END;
    UPDATE "VerificationCode" SET "type" = 'MFA_ATTEMPT' WHERE "id" = id('invitation');
END $$

UPDATE "Tenancy" SET "branchId" = 'dev' WHERE "id" = id('compilers')

DELETE FROM "ProjectUser" WHERE "projectUserId" = id('charles')
