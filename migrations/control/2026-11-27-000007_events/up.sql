-- What operators want to be told, each edge once. Written by the sequencer that leads, which also tells it (LOCKSTEP_EVENTS_TO). Kept
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

-- Who is told: what the sequencer that leads is set to. One that is set anew begins with what is open.
CREATE TABLE lockstep.event_sink (
    sink text PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Events that a sink has: written once they are there, so that one which was killed in between tells an event again.
CREATE TABLE lockstep.event_delivery (
    event_id bigint NOT NULL REFERENCES lockstep.event ON DELETE CASCADE,
    sink text NOT NULL REFERENCES lockstep.event_sink ON DELETE CASCADE,
    delivered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (event_id, sink)
);
