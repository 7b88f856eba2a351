-- Rows whose tenancy is gone: only e-mails and replays go with a Tenancy, all else stays. They belong to no destination.
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT pg_temp.seed_id('tenancy that is gone', 0), pg_temp.seed_id('ownerless user', n), 'gone', 'main', 'Left behind', '2024-05-05'
FROM generate_series(0::bigint, 9) AS n;

INSERT INTO "ContactChannel" (
    "tenancyId", "projectUserId", "id", "type", "isPrimary", "usedForAuth", "isVerified", "value", "updatedAt"
)
SELECT "tenancyId", "projectUserId", "projectUserId", 'EMAIL', 'TRUE', NULL, TRUE, 'left.behind@example.com', '2024-05-05'
FROM "ProjectUser"
WHERE "tenancyId" = pg_temp.seed_id('tenancy that is gone', 0);

INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (pg_temp.seed_id('tenancy that is gone', 0), pg_temp.seed_id('ownerless team', 0), 'gone', 'main', 'Left behind', '2024-05-05');

INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
SELECT "tenancyId", "projectUserId", "projectUserId", 'secret-' || "projectUserId"::text, '2024-05-05'
FROM "ProjectUser"
WHERE "tenancyId" = pg_temp.seed_id('tenancy that is gone', 0);

-- An invitation to a branch that no tenancy has.
INSERT INTO "VerificationCode" ("projectId", "branchId", "id", "type", "code", "method", "data", "expiresAt", "updatedAt")
SELECT 'gone', 'main', pg_temp.seed_id('ownerless code', n), 'TEAM_INVITATION', 'secret-' || n::text,
    '{"email": "left.behind@example.com"}', jsonb_build_object('team_id', pg_temp.seed_id('ownerless team', 0)), '2030-01-01', '2024-05-05'
FROM generate_series(0::bigint, 9) AS n;
