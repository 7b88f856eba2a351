-- Codes belong to a project and branch. Nearly half are invitations; some of those name no team, a team that is gone, or
-- something that is no UUID, and some have no e-mail address that is a text: both columns are free JSON.
INSERT INTO "VerificationCode" (
    "projectId", "branchId", "id", "type", "code", "redirectUrl", "method", "data", "attemptCount", "expiresAt", "usedAt",
    "createdAt", "updatedAt"
)
SELECT
    project_id,
    branch_id,
    pg_temp.seed_id('code', n),
    (CASE
        WHEN invitation THEN 'TEAM_INVITATION'
        ELSE (ARRAY['ONE_TIME_PASSWORD', 'PASSWORD_RESET', 'CONTACT_CHANNEL_VERIFICATION', 'MFA_ATTEMPT',
            'PASSKEY_REGISTRATION_CHALLENGE', 'PASSKEY_AUTHENTICATION_CHALLENGE', 'INTEGRATION_PROJECT_TRANSFER',
            'PURCHASE_URL'])[1 + pg_temp.seed_pick(n, 170, 8)]
    END)::"VerificationCodeType",
    'secret-' || md5('code {seed}:' || n::text),
    CASE WHEN pg_temp.seed_chance(n, 171, 50) THEN 'https://app.example.com/join?code=' || n::text END,
    (CASE pg_temp.seed_pick(n, 172, 30)
        WHEN 0 THEN 'null'
        WHEN 1 THEN '{}'
        WHEN 2 THEN '{"email": null}'
        WHEN 3 THEN '{"email": 42}'
        WHEN 4 THEN '{"email": ""}'
        WHEN 5 THEN '["email"]'
        WHEN 6 THEN '{"email": {"address": "nested@example.com"}}'
        ELSE '{"email": "' || pg_temp.seed_email(n, 3) || '"}'
    END)::jsonb,
    (CASE
        WHEN NOT invitation THEN '{"user_id": "' || pg_temp.seed_id('user', n)::text || '"}'
        ELSE CASE pg_temp.seed_pick(n, 173, 40)
            WHEN 0 THEN '{}'
            WHEN 1 THEN '{"team_id": null}'
            WHEN 2 THEN '{"team_id": "not-a-uuid"}'
            WHEN 3 THEN '{"team_id": 7}'
            WHEN 4 THEN '{"team_id": ""}'
            WHEN 5 THEN '"team_id"'
            WHEN 6 THEN '{"team_id": {"id": "' || team || '"}}'
            WHEN 7 THEN '{"team_id": "' || pg_temp.seed_id('team that is gone', n)::text || '"}'
            WHEN 8 THEN '{"team_id": "' || upper(team) || '"}'
            ELSE '{"team_id": "' || team || '", "inviter": null}'
        END
    END)::jsonb,
    pg_temp.seed_pick(n, 174, 4)::integer,
    created_at + (ARRAY['7 days', '1 hour', '10 years']::interval[])[1 + pg_temp.seed_pick(n, 175, 3)],
    CASE WHEN pg_temp.seed_chance(n, 176, 40) THEN created_at + interval '90 seconds' END,
    created_at,
    created_at + interval '90 seconds'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows} AND organization_id IS NULL
CROSS JOIN LATERAL (
    SELECT
        pg_temp.seed_chance(n, 177, 45) AS invitation,
        pg_temp.seed_moment(n, 178) AS created_at,
        pg_temp.seed_id('team', n / {rows} * {teams} + pg_temp.seed_pick(n, 179, {teams}))::text AS team
) AS drawn
WHERE pg_temp.seed_chance(n, 180, 50);
