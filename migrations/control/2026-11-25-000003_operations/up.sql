-- What is paused: a row stops a part of Lockstep, deleting the row lets it go on. `lockstep pause` writes it; so may you.
CREATE TABLE lockstep.pause (
    kind text NOT NULL CHECK (kind IN ('sequencer', 'workers', 'mapping', 'destination', 'tenancy')),
    -- Of the mapping, the destination or the tenancy; empty for all sequencers and for all workers.
    name text NOT NULL DEFAULT '',
    paused_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL DEFAULT '',
    -- Lockstep paused it by itself, and resumes it when what the reason says is mended.
    automatic boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (kind, name),
    CHECK ((name = '') = (kind IN ('sequencer', 'workers')))
);

-- How often something was resumed. A worker that looks at pauses now and then could miss one that lasted a moment, and what
-- another worker passed over meanwhile; it cannot miss that this number has grown.
CREATE TABLE lockstep.resumed (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    times bigint NOT NULL DEFAULT 0
);
INSERT INTO lockstep.resumed DEFAULT VALUES;
CREATE FUNCTION lockstep.count_resumed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockstep$
BEGIN
  UPDATE lockstep.resumed SET times = times + 1;
  RETURN NULL;
END
$lockstep$;
CREATE TRIGGER lockstep_resumed AFTER UPDATE OR DELETE OR TRUNCATE ON lockstep.pause
    FOR EACH STATEMENT EXECUTE FUNCTION lockstep.count_resumed();
ALTER TABLE lockstep.pause ENABLE ALWAYS TRIGGER lockstep_resumed;

-- What `lockstep resync` and `lockstep rewind` export again. A command that was killed goes on where its row is.
CREATE TABLE lockstep.resync (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('resync', 'rewind')),
    destination text NOT NULL,
    -- As they were named; null: all.
    tenancies uuid[],
    mappings text[],
    -- A number of the sequence that no row has. Rows that exist get higher ones; what is lower in the destination after
    -- that is not in the source any more.
    floor bigint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    stale_rows bigint
);

-- What operators can set for all programs together. A worker obeys the value that its snapshot shows, so for a while after
-- a change two values are in force; whoever waits for what was read before waits for the longer one.
CREATE TABLE lockstep.setting (
    name text PRIMARY KEY,
    value interval NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The value before, while what was read under it may still be written.
    previous interval,
    CONSTRAINT setting_known CHECK (CASE name
        WHEN 'late_write_limit' THEN value BETWEEN interval '1 second' AND interval '1 day'
        WHEN 'change_retention' THEN value >= interval '0'
        ELSE FALSE END)
);
INSERT INTO lockstep.setting (name, value) VALUES
    -- What was read from the source is written within this time, or never.
    ('late_write_limit', interval '5 minutes'),
    -- How long changes are kept at the most for a destination that has not passed them. One that is down for longer is filled
    -- again.
    ('change_retention', interval '7 days');

CREATE FUNCTION lockstep.setting_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.previous := CASE WHEN clock_timestamp() < OLD.changed_at + OLD.previous THEN GREATEST(OLD.value, OLD.previous) ELSE OLD.value END;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER lockstep_setting_changed BEFORE UPDATE ON lockstep.setting FOR EACH ROW
    WHEN (OLD.value IS DISTINCT FROM NEW.value) EXECUTE FUNCTION lockstep.setting_changed();
ALTER TABLE lockstep.setting ENABLE ALWAYS TRIGGER lockstep_setting_changed;

-- Tenancies whose rows were removed from a destination, or are to be: what was asked for, and the receipt (ERASE-1). It
-- holds ids and numbers of rows, nothing of what was removed.
CREATE TABLE lockstep.erasure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenancy_id uuid NOT NULL,
    destination text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('automatic', 'by hand')),
    -- It exists in the source, and is not shipped: it is paused.
    paused boolean NOT NULL DEFAULT FALSE,
    -- When it was seen to be gone (or paused), by a snapshot that was taken before this moment.
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The last number that had been given out at requested_at: no row of it has a higher one in the destination.
    up_to bigint NOT NULL,
    -- When its rows were hidden from readers, where nobody else has rows. They are removed later.
    hidden_at timestamptz,
    -- Rows that were removed, by mapping; what starts with _ is not of a mapping.
    removed jsonb NOT NULL DEFAULT '{}',
    -- When it was counted that nothing is left.
    proven_at timestamptz,
    finished_at timestamptz
);
CREATE UNIQUE INDEX erasure_unfinished_idx ON lockstep.erasure (tenancy_id, destination) WHERE finished_at IS NULL;
CREATE INDEX erasure_tenancy_idx ON lockstep.erasure (tenancy_id);

-- When deleted rows of a mapping were last dropped from a destination for good.
CREATE TABLE lockstep.clean_up (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    cleaned_at timestamptz NOT NULL,
    dropped_rows bigint NOT NULL,
    PRIMARY KEY (mapping_name, destination)
);

-- What the periodic tasks of each program did last: written by the sequencer that leads and by workers, all tasks of a process
-- in one statement every few seconds. Where several workers do a task, the latest of them is what its row tells.
CREATE TABLE lockstep.task (
    -- sequencer or worker.
    program text NOT NULL,
    name text NOT NULL,
    -- When a run last ended that did not fail, and how long it took.
    last_run timestamptz,
    took_ms bigint,
    -- How many things all runs did.
    did bigint NOT NULL,
    -- When a run last failed, and why, without values of rows.
    failed_at timestamptz,
    error text,
    -- Why it is not tried at the moment; null where it is.
    waits_for text,
    PRIMARY KEY (program, name)
);
