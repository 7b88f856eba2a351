-- Five tenancies at a time: a project of its own twice, the second with a branch beside it (2), then a project (3) that an
-- organisation (4) shares, project and branch both. What the other tables need to know of them is kept for the session.
DROP TABLE IF EXISTS pg_temp.seed_tenancy;
CREATE TEMPORARY TABLE seed_tenancy AS
SELECT
    t,
    pg_temp.seed_id('tenancy', t) AS tenancy_id,
    pg_temp.seed_id('project', CASE WHEN t % 5 IN (2, 4) THEN t - 1 ELSE t END)::text AS project_id,
    CASE WHEN t % 5 = 2 THEN 'staging' ELSE 'main' END AS branch_id,
    CASE WHEN t % 5 = 4 THEN pg_temp.seed_id('organization', t) END AS organization_id
FROM generate_series(0, {tenants}::bigint - 1) AS t;
ANALYZE pg_temp.seed_tenancy;

INSERT INTO "Project" ("id", "displayName", "description", "isProductionMode", "createdAt", "updatedAt")
SELECT
    project_id,
    pg_temp.seed_last_name(t) || (ARRAY[' Labs', ' GmbH', ' 株式会社', ' & Sons', ''])[1 + pg_temp.seed_pick(t, 10, 5)],
    CASE WHEN pg_temp.seed_chance(t, 11, 30) THEN '' ELSE 'Customer ' || t END,
    pg_temp.seed_chance(t, 12, 60),
    pg_temp.seed_moment(t, 13),
    pg_temp.seed_moment(t, 13) + interval '1 day'
FROM pg_temp.seed_tenancy
WHERE t % 5 NOT IN (2, 4);

INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "hasNoOrganization", "createdAt", "updatedAt")
SELECT
    tenancy_id,
    project_id,
    branch_id,
    organization_id,
    CASE WHEN organization_id IS NULL THEN 'TRUE'::"BooleanTrue" END,
    pg_temp.seed_moment(t, 13),
    pg_temp.seed_moment(t, 13) + interval '1 hour'
FROM pg_temp.seed_tenancy;
