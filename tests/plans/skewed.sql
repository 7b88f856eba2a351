-- One tenancy with 90,000 users, 100,000 with one. Indexes of the application's are old: wide and a level taller than fresh ones.
SET session_replication_role = replica;
INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('p', 'p', TRUE, now());
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
SELECT md5('t' || i)::uuid, 'p', 'b' || i, 'TRUE', now() FROM generate_series(0, 100000) i;
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT md5('t' || t)::uuid, md5('u' || i)::uuid, 'p', 'b' || t, 'u', now()
FROM (SELECT i, CASE WHEN i <= 90000 THEN 0 ELSE i - 90000 END AS t FROM generate_series(1, 190000) i) u;
INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
SELECT "tenancyId", "projectUserId", md5("projectUserId"::text)::uuid, 'EMAIL', 'TRUE', TRUE, "projectUserId" || '@example.com', now() FROM "ProjectUser";
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT md5('t0')::uuid, md5('team' || i)::uuid, 'p', 'b0', 'team', now() FROM generate_series(1, 2000) i;
INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "method", "data", "expiresAt", "updatedAt")
SELECT 'p', CASE WHEN i <= 20000 THEN 'b0' ELSE 'b' || i END, md5('c' || i)::uuid, 'TEAM_INVITATION', 'c' || i, '{"email": "x@example.com"}',
    jsonb_build_object('team_id', md5('team' || i % 2000)::uuid), '2030-01-01', now() FROM generate_series(1, 40000) i;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('"ContactChannel"'::regclass, '"ProjectUser"'::regclass, '"VerificationCode"'::regclass)
        AND indexrelid IN (SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree') LOOP
        EXECUTE format('ALTER INDEX %s SET (fillfactor = 30)', name);
        EXECUTE format('REINDEX INDEX %s', name);
    END LOOP;
END $$;
RESET session_replication_role
