-- edit: rolled back
BEGIN;
UPDATE "ProjectUser" SET "displayName" = 'never seen {number}' WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};
DELETE FROM "Team" WHERE "tenancyId" = '{tenancy}' AND "teamId" = {team};
DELETE FROM "EmailOutbox" WHERE "tenancyId" = '{tenancy}' AND "id" = {email};
ROLLBACK;

-- edit: partly rolled back
BEGIN;
UPDATE "ProjectUser" SET "displayName" = 'seen {number}' WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};
SAVEPOINT before_the_mistake;
DELETE FROM "ProjectUser" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" = {user};
ROLLBACK TO SAVEPOINT before_the_mistake;
UPDATE "ProjectUserRefreshToken" SET "lastActiveAt" = {now} WHERE "tenancyId" = '{tenancy}' AND "id" = {token};
COMMIT;
