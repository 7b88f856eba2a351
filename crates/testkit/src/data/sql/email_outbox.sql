-- Each profile is one way an e-mail can stand: what has happened to it, as bits of a path that the generated columns read.
-- Together they reach every status and every simple status. `render` and `send`: 0 not begun, 1 begun, 2 done.
INSERT INTO "EmailOutbox" (
    "tenancyId", "id", "createdWith", "emailDraftId", "emailProgrammaticCallTemplateId", "themeId", "tsxSource", "to",
    "extraRenderVariables", "isHighPriority", "shouldSkipDeliverabilityCheck", "isPaused", "renderedByWorkerId",
    "startedRenderingAt", "finishedRenderingAt", "renderErrorExternalMessage", "renderedSubject", "renderedIsTransactional",
    "renderedNotificationCategoryId", "scheduledAt", "isQueued", "startedSendingAt", "finishedSendingAt", "sendRetries",
    "sendServerErrorExternalMessage", "skippedReason", "skippedDetails", "canHaveDeliveryInfo", "deliveredAt",
    "deliveryDelayedAt", "bouncedAt", "openedAt", "clickedAt", "unsubscribedAt", "markedAsSpamAt", "createdAt", "updatedAt"
)
WITH profile (number, paused, skipped, render, render_error, queued, send, server_error, tracked, events) AS (
    VALUES
        (0, TRUE, FALSE, 0, FALSE, FALSE, 0, FALSE, FALSE, ''), -- paused, in progress
        (1, TRUE, FALSE, 2, TRUE, FALSE, 0, FALSE, FALSE, ''), -- paused, error
        (2, TRUE, FALSE, 2, FALSE, TRUE, 2, FALSE, FALSE, ''), -- paused, ok
        (3, FALSE, TRUE, 0, FALSE, FALSE, 0, FALSE, FALSE, ''), -- skipped before rendering
        (4, FALSE, TRUE, 2, FALSE, TRUE, 1, FALSE, FALSE, ''), -- skipped while sending
        (5, FALSE, FALSE, 0, FALSE, FALSE, 0, FALSE, FALSE, ''), -- preparing
        (6, FALSE, FALSE, 1, FALSE, FALSE, 0, FALSE, FALSE, ''), -- rendering
        (7, FALSE, FALSE, 2, TRUE, FALSE, 0, FALSE, FALSE, ''), -- render error
        (8, FALSE, FALSE, 2, FALSE, FALSE, 0, FALSE, FALSE, ''), -- scheduled
        (9, FALSE, FALSE, 2, FALSE, TRUE, 0, FALSE, FALSE, ''), -- queued
        (10, FALSE, FALSE, 2, FALSE, TRUE, 1, FALSE, FALSE, ''), -- sending, not finished
        (11, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, ''), -- sending, delivery not yet known
        (12, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'bounced'), -- sending, error
        (13, FALSE, FALSE, 2, FALSE, TRUE, 2, TRUE, FALSE, ''), -- server error
        (14, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, FALSE, ''), -- sent, never to be known more
        (15, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered'), -- sent
        (16, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered opened spam'), -- marked as spam
        (17, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered opened clicked'), -- clicked
        (18, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered opened unsubscribed'), -- opened
        (19, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered bounced'), -- bounced, error
        (20, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered delayed'), -- delivery delayed
        (21, FALSE, FALSE, 2, FALSE, TRUE, 2, FALSE, TRUE, 'delivered clicked bounced') -- clicked, error
)
SELECT
    tenancy_id,
    pg_temp.seed_id('email', n),
    (CASE WHEN draft THEN 'DRAFT' ELSE 'PROGRAMMATIC_CALL' END)::"EmailOutboxCreatedWith",
    CASE WHEN draft THEN 'draft-' || pg_temp.seed_pick(n, 190, 50)::text END,
    CASE WHEN NOT draft AND pg_temp.seed_chance(n, 191, 80) THEN 'welcome-' || pg_temp.seed_pick(n, 192, 5)::text END,
    CASE WHEN pg_temp.seed_chance(n, 193, 50) THEN 'light' END,
    'export default () => <p>Hello</p>;',
    ('{"type": "user-primary-email", "userId": "' || pg_temp.seed_id('user', n)::text || '"}')::jsonb,
    '{}',
    pg_temp.seed_chance(n, 194, 10),
    pg_temp.seed_chance(n, 195, 10),
    paused,
    CASE WHEN render > 0 THEN pg_temp.seed_id('render worker', pg_temp.seed_pick(n, 196, 3)) END,
    CASE WHEN render > 0 THEN created_at + interval '1 second' END,
    CASE WHEN render > 1 THEN created_at + interval '1.25 seconds' END,
    CASE WHEN render_error THEN E'Unexpected token "<"\n\tat line 3' END,
    CASE WHEN render > 1 AND NOT render_error THEN
        (ARRAY['Welcome, ', 'Votre reçu ', 'ご招待 ', '🎉 '])[1 + pg_temp.seed_pick(n, 197, 4)] || pg_temp.seed_first_name(n) END,
    CASE WHEN render > 1 AND NOT render_error THEN pg_temp.seed_chance(n, 198, 60) END,
    CASE WHEN render > 1 AND NOT render_error THEN '4f6f8873-3d04-46bd-8bef-18338b1a1b4c' END,
    created_at + interval '1 minute',
    queued,
    CASE WHEN send > 0 THEN created_at + interval '61 seconds' END,
    CASE WHEN send > 1 THEN created_at + interval '61.5 seconds' END,
    CASE WHEN server_error THEN 3 ELSE pg_temp.seed_pick(n, 199, 2)::integer END,
    CASE WHEN server_error THEN 'Mailbox unavailable' END,
    CASE WHEN skipped THEN (enum_range(NULL::"EmailOutboxSkippedReason"))[1 + pg_temp.seed_pick(n, 200, 6)] END,
    CASE WHEN skipped THEN (ARRAY['{}', '{"by": "rule", "score": 0.5}', 'null']::jsonb[])[1 + pg_temp.seed_pick(n, 201, 3)] END,
    CASE WHEN send > 1 THEN tracked END,
    CASE WHEN events LIKE '%delivered%' THEN created_at + interval '65 seconds' END,
    CASE WHEN events LIKE '%delayed%' THEN created_at + interval '64 seconds' END,
    CASE WHEN events LIKE '%bounced%' THEN created_at + interval '66 seconds' END,
    CASE WHEN events LIKE '%opened%' THEN created_at + interval '1 hour' END,
    CASE WHEN events LIKE '%clicked%' THEN created_at + interval '1 hour 5 seconds' END,
    CASE WHEN events LIKE '%unsubscribed%' THEN created_at + interval '1 hour 10 seconds' END,
    CASE WHEN events LIKE '%spam%' THEN created_at + interval '2 hours' END,
    created_at,
    created_at + interval '2 hours'
FROM generate_series({from}::bigint, {to}) AS n
JOIN pg_temp.seed_tenancy ON t = n / {rows}
JOIN profile ON number = pg_temp.seed_pick(n, 202, 22)
CROSS JOIN LATERAL (SELECT pg_temp.seed_chance(n, 203, 30) AS draft, pg_temp.seed_moment(n, 204) AS created_at) AS drawn
WHERE pg_temp.seed_chance(n, 205, 50);
