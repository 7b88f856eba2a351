-- How changes get to the destinations.

-- Up to which number changes were announced to the workers, written down after the broker has confirmed (OUT-1): what is
-- above it is announced by whoever leads next. Appended, and pruned to the newest.
CREATE TABLE lockstep.announced (
    sequence bigint PRIMARY KEY
);
INSERT INTO lockstep.announced VALUES (0);

-- `lockstep wait` and fills ask: which number covers everything that was committed before this row? The sequencer answers.
CREATE TABLE lockstep.fence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequence bigint
);
CREATE INDEX fence_waiting_idx ON lockstep.fence (id) WHERE sequence IS NULL;

-- How far each destination has come.
CREATE TABLE lockstep.destination (
    name text PRIMARY KEY,
    -- Every change up to this number is in the destination, or in quarantine.
    passed bigint NOT NULL DEFAULT 0,
    passed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Changes that it had not passed were dropped: it has to be filled again.
    needs_refill_since timestamptz,
    -- One of its servers was started again: rows with changes above the first number, up to the second, get new changes.
    ship_again_after bigint,
    ship_again_through bigint
);

-- How far a destination had come, while it came further: what it was given in the last minutes before a server of it ended may
-- be lost with the memory of the machine. The sweep writes it every ten seconds at most, and deletes what is older than needed.
CREATE TABLE lockstep.destination_passed (
    destination text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    passed bigint NOT NULL,
    PRIMARY KEY (destination, at)
);

-- The servers of a destination that keep what they are given in memory for a while, and when each was started, by its own
-- clock. The sweep writes it; a server that is gone for good leaves its row.
CREATE TABLE lockstep.destination_server (
    destination text NOT NULL,
    server text NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (destination, server)
);

-- When the last minute ended whose writes are on a destination's disk whatever happens to its machine, at the latest: Linux
-- writes back what is older than half a minute, and ClickHouse itself takes eight minutes for enough.
CREATE FUNCTION lockstep.durable_since(destination text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $lockstep$
    SELECT max(p.at) - interval '5 minutes' FROM lockstep.destination_passed p WHERE p.destination = $1
$lockstep$;

-- Up to which number all changes are on a destination's disk. One without servers of that kind has nothing noted, and writes
-- through.
CREATE FUNCTION lockstep.durable(destination text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $lockstep$
    SELECT LEAST(d.ship_again_after, CASE WHEN lockstep.durable_since(d.name) IS NULL THEN d.passed ELSE COALESCE((
        SELECT max(p.passed) FROM lockstep.destination_passed p
        WHERE p.destination = d.name AND p.at <= lockstep.durable_since(d.name)), 0) END)
    FROM lockstep.destination d WHERE d.name = $1
$lockstep$;

-- The fill of a mapping for a destination: the rows that are there, shipped as version `floor`, in ranges of heap blocks that
-- workers claim for a while. Then the rows that were written meanwhile once more, then tombstones for what the destination
-- shows below the floor and the source no longer has. The first fill and every later one are the same.
CREATE TABLE lockstep.fill (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    reason text NOT NULL,
    -- Drawn from the sequence before the first row is read: whatever happens to a row later has a number above it.
    floor bigint NOT NULL,
    -- Changes when the table is rewritten, which moves rows between blocks: then the ranges start again.
    source_filenode oid NOT NULL,
    -- Rows that transactions from this one on have written may have been in no range.
    since bigint NOT NULL DEFAULT txid_snapshot_xmin(txid_current_snapshot()),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Asked when all ranges were shipped and the rest was asked for; its number covers both.
    fence_id bigint,
    finished_at timestamptz,
    stale_rows bigint,
    -- Rows, those of the fill and all others, go into a table beside the one that is read, until this fill ends: then the two
    -- are exchanged.
    is_beside boolean NOT NULL DEFAULT FALSE,
    -- Whether the table whose place is taken is kept under another name; null where none is.
    keep_replaced boolean,
    PRIMARY KEY (mapping_name, destination)
);
-- What `lockstep migrate` last set up each mapping as, in fingerprints of its definition. Programs whose own differ were not
-- replaced yet: a sequencer numbers nothing unless all that is captured is what it knows, a worker ships a mapping only where
-- what is exported is. Written under the ordering lock, together with the fill that the difference needs: so whoever sees a
-- number above that fill's sees this too.
CREATE TABLE lockstep.definition (
    mapping_name text PRIMARY KEY,
    captured text NOT NULL,
    exported text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE lockstep.fill_range (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    first_block bigint NOT NULL,
    end_block bigint NOT NULL,
    claimed_by text,
    claimed_until timestamptz,
    finished_at timestamptz,
    shipped_rows bigint,
    PRIMARY KEY (mapping_name, destination, first_block),
    FOREIGN KEY (mapping_name, destination) REFERENCES lockstep.fill ON DELETE CASCADE
);

-- Mappings of which rows changed that nobody can name: they are filled again as soon as the table fits its definition.
CREATE TABLE lockstep.refill (
    mapping_name text PRIMARY KEY,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows that a destination refuses, each by the number of its change, with its key. A cursor passes a row only when the
-- destination holds it or this table does, committed before the cursor moves (CUR-1). An entry goes when the destination
-- has passed a later change of the row, or took it after all.
CREATE TABLE lockstep.quarantine (
    destination text NOT NULL,
    mapping_name text NOT NULL,
    tenancy_id uuid NOT NULL,
    sequence bigint NOT NULL,
    -- Of docs/errors.
    code text NOT NULL,
    -- Without values of the row.
    error text NOT NULL,
    uuid_1 uuid, uuid_2 uuid, uuid_3 uuid, uuid_4 uuid,
    text_1 text, text_2 text, text_3 text, text_4 text,
    first_refused_at timestamptz NOT NULL DEFAULT now(),
    last_refused_at timestamptz NOT NULL DEFAULT now(),
    attempts bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (destination, mapping_name, tenancy_id, sequence)
);
-- Every flush asks which of its tenancies have entries.
CREATE INDEX quarantine_tenancy_idx ON lockstep.quarantine (tenancy_id);
