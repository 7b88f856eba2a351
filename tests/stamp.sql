-- What a pass of the sequencer leaves: every row has a number, and nothing waits.
SET lockstep.stamping = 'on';
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['DeletedRow', 'ProjectUser', 'ContactChannel', 'Team', 'TeamMember',
        'TeamMemberDirectPermission', 'ProjectUserDirectPermission', 'UserNotificationPreference', 'VerificationCode',
        'EmailOutbox', 'SessionReplay', 'ProjectUserRefreshToken', 'ProjectUserOAuthAccount'] LOOP
        EXECUTE format('UPDATE %I SET "sequenceId" = nextval(''global_seq_id''), "shouldUpdateSequenceId" = FALSE '
            'WHERE "shouldUpdateSequenceId"', name);
    END LOOP;
    DELETE FROM lockstep.touch;
END
$$;
RESET lockstep.stamping;
