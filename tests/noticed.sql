SELECT string_agg(line, ', ' ORDER BY line COLLATE "C") FROM (
    SELECT name || ' ' || count(*) AS line FROM (
        SELECT 'ProjectUser', "shouldUpdateSequenceId" FROM "ProjectUser"
        UNION ALL SELECT 'ContactChannel', "shouldUpdateSequenceId" FROM "ContactChannel"
        UNION ALL SELECT 'Team', "shouldUpdateSequenceId" FROM "Team"
        UNION ALL SELECT 'TeamMember', "shouldUpdateSequenceId" FROM "TeamMember"
        UNION ALL SELECT 'TeamMemberDirectPermission', "shouldUpdateSequenceId" FROM "TeamMemberDirectPermission"
        UNION ALL SELECT 'ProjectUserDirectPermission', "shouldUpdateSequenceId" FROM "ProjectUserDirectPermission"
        UNION ALL SELECT 'UserNotificationPreference', "shouldUpdateSequenceId" FROM "UserNotificationPreference"
        UNION ALL SELECT 'VerificationCode', "shouldUpdateSequenceId" FROM "VerificationCode"
        UNION ALL SELECT 'EmailOutbox', "shouldUpdateSequenceId" FROM "EmailOutbox"
        UNION ALL SELECT 'SessionReplay', "shouldUpdateSequenceId" FROM "SessionReplay"
        UNION ALL SELECT 'ProjectUserRefreshToken', "shouldUpdateSequenceId" FROM "ProjectUserRefreshToken"
        UNION ALL SELECT 'ProjectUserOAuthAccount', "shouldUpdateSequenceId" FROM "ProjectUserOAuthAccount"
        UNION ALL SELECT 'gone ' || "tableName", "shouldUpdateSequenceId" FROM "DeletedRow"
        UNION ALL SELECT 'touch ' || target, TRUE FROM lockstep.touch
    ) AS waiting (name, waits)
    WHERE waits
    GROUP BY name
) AS lines
