-- Changes of many users, of both kinds of tenancy, and places where two of them used to be.
INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
SELECT row_number() OVER (), u."tenancyId", (SELECT id FROM lockstep.target WHERE name = 'users'), u."projectUserId"
FROM (SELECT * FROM "ProjectUser" ORDER BY md5("projectUserId"::text) LIMIT 120000) u;
INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
SELECT 200000 + row_number() OVER (), md5('t0')::uuid, (SELECT id FROM lockstep.target WHERE name = 'team_invitations'), md5('c' || i)::uuid
FROM generate_series(1, 20000) i;
INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) VALUES (md5('t0')::uuid, 'p', 'b1'), (md5('t2')::uuid, 'p', 'b0');
INSERT INTO lockstep.expansion (target, tenancy_id, uuid_1)
SELECT id, md5('t0')::uuid, md5('team' || n)::uuid FROM lockstep.target, generate_series(1, 5) n WHERE name = 'team_invitations.team';
INSERT INTO lockstep.expansion (target, tenancy_id, project_id, branch_id)
SELECT id, md5('t7')::uuid, 'p', 'b7' FROM lockstep.target WHERE name = 'tenancy' OR name LIKE '%.*';
ANALYZE
