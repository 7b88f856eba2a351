-- Ada leaves, and comes again with the same natural keys and new ids.
CREATE FUNCTION leave() RETURNS void LANGUAGE sql BEGIN ATOMIC
    DELETE FROM "TeamMember" WHERE "projectUserId" = id('ada');
    DELETE FROM "ProjectUserDirectPermission" WHERE "projectUserId" = id('ada');
    DELETE FROM "UserNotificationPreference" WHERE "projectUserId" = id('ada');
    DELETE FROM "ProjectUserOAuthAccount" WHERE "projectUserId" = id('ada');
END;
CREATE FUNCTION rejoin() RETURNS void LANGUAGE sql BEGIN ATOMIC
    INSERT INTO "TeamMember" ("tenancyId", "projectUserId", "teamId", "displayName", "updatedAt")
    VALUES (id('engines'), id('ada'), id('analytical'), 'again ' || clock_timestamp(), now());
    INSERT INTO "TeamMemberDirectPermission" ("id", "tenancyId", "projectUserId", "teamId", "permissionId", "updatedAt")
    VALUES (gen_random_uuid(), id('engines'), id('ada'), id('analytical'), 'program', now());
    INSERT INTO "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "updatedAt")
    VALUES (gen_random_uuid(), id('engines'), id('ada'), 'publish', now());
    INSERT INTO "UserNotificationPreference" ("tenancyId", "id", "projectUserId", "notificationCategoryId", "enabled")
    VALUES (id('engines'), gen_random_uuid(), id('ada'), id('news'), FALSE);
    INSERT INTO "ProjectUserOAuthAccount" ("tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "updatedAt")
    VALUES (id('engines'), gen_random_uuid(), id('ada'), 'github', 'countess', now());
END;
