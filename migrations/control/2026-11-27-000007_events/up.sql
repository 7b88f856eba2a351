-- What operators want to be told, each edge once. Written by the sequencer that leads, which also tells it
-- (LOCKSTEP_EVENTS_TO, LOCKSTEP_EVENTS_WEBHOOKS); `lockstep events test` writes one too. Kept
-- for 30 days, and at most 10,000 of them: the oldest that are over go first. Ids, names, counts, codes and times, never tenants' values.
CREATE TABLE lockstep.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    -- What it is about: a destination's id, or a mapping's name for instance.
    subject text NOT NULL,
    -- raised and resolved: the beginning and the end of what lasts. told: what happens once.
    state text NOT NULL CHECK (state IN ('raised', 'resolved', 'told')),
    -- It was raised, and is not resolved.
    open boolean NOT NULL,
    body jsonb NOT NULL CHECK (length(body::text) <= 4096)
);
-- However often it is looked, and whoever looks: what is open is raised once, and what happens once is told once.
CREATE UNIQUE INDEX event_once_idx ON lockstep.event (kind, subject) WHERE open OR state = 'told';

-- Who is told: what the sequencer that leads is set to. One that is set anew begins with what is open. What operators and receivers say
-- of it stays while it is set.
CREATE TABLE lockstep.event_sink (
    sink text PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Its receiver said that it is gone (410): it is told nothing until an operator resumes it.
    stopped_at timestamptz,
    -- Its receiver asked not to be sent anything before that (Retry-After).
    rests_until timestamptz
);

-- What a sink is to be told: written with the event. Noted as delivered once it is there, so that one which was killed in between tells
-- an event again.
CREATE TABLE lockstep.event_delivery (
    event_id bigint NOT NULL REFERENCES lockstep.event ON DELETE CASCADE,
    sink text NOT NULL REFERENCES lockstep.event_sink ON DELETE CASCADE,
    delivered_at timestamptz,
    -- When it is tried next. None: it is delivered, or was given up.
    next_at timestamptz DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    -- What went wrong last, as one word: http_503, timeout, unreachable. Never an answer's text.
    last_error text CHECK (length(last_error) <= 40),
    PRIMARY KEY (event_id, sink),
    CHECK (delivered_at IS NULL OR next_at IS NULL)
);
-- What a sink has, waits for, was not told in all attempts, and was tried in vain: each is found without looking at the others.
CREATE INDEX event_delivery_delivered_idx ON lockstep.event_delivery (sink, event_id) WHERE delivered_at IS NOT NULL;
CREATE INDEX event_delivery_waiting_idx ON lockstep.event_delivery (sink, event_id) WHERE next_at IS NOT NULL;
CREATE INDEX event_delivery_given_up_idx ON lockstep.event_delivery (sink, event_id) WHERE delivered_at IS NULL AND next_at IS NULL;
CREATE INDEX event_delivery_tried_idx ON lockstep.event_delivery (sink, event_id) WHERE delivered_at IS NULL AND attempts > 0;
