-- Lockstep's own tables. They live in schema "lockstep" of the source database, so that they commit with what they speak of.
-- First, how a change gets its number: inbox, change, pass.

-- Numbers of changes, and of the floors of fills. CACHE 1: a number must be above all that were handed out before it.
CREATE SEQUENCE lockstep.sequence AS bigint CACHE 1;

-- Lines that triggers write, in the application's transaction. Two tables take turns by transaction id, and are truncated when
-- nobody can write to them any more and all of it is numbered: so no line costs a deletion, and no index but one of a few
-- pages, by which a pass finds what the one before it did not see. Autovacuum has nothing to do here.
CREATE TABLE lockstep.inbox_0 (
    -- The whole 64 bits of the top-level transaction's id.
    xid bigint NOT NULL DEFAULT txid_current(),
    -- A hash of what the line is about: see lockstep.target.
    target integer NOT NULL,
    tenancy_id uuid,
    -- Where the tenancy is found by its place.
    project_id text,
    branch_id text,
    -- The key: columns of type uuid in the first four, all others as text.
    uuid_1 uuid, uuid_2 uuid, uuid_3 uuid, uuid_4 uuid,
    text_1 text, text_2 text, text_3 text, text_4 text
) WITH (autovacuum_enabled = off);
CREATE TABLE lockstep.inbox_1 (LIKE lockstep.inbox_0 INCLUDING DEFAULTS) WITH (autovacuum_enabled = off);
CREATE INDEX inbox_0_xid_idx ON lockstep.inbox_0 USING brin (xid) WITH (pages_per_range = 32, autosummarize = off);
CREATE INDEX inbox_1_xid_idx ON lockstep.inbox_1 USING brin (xid) WITH (pages_per_range = 32, autosummarize = off);
-- The index of an empty table covers its first range: lines would widen that one by one.
SELECT brin_desummarize_range('lockstep.inbox_0_xid_idx', 0), brin_desummarize_range('lockstep.inbox_1_xid_idx', 0);
CREATE VIEW lockstep.inbox AS SELECT * FROM lockstep.inbox_0 UNION ALL SELECT * FROM lockstep.inbox_1;

-- What the numbers in inbox, expansion and change stand for, for people. `lockstep migrate` writes it.
CREATE TABLE lockstep.target (
    id integer PRIMARY KEY,
    name text NOT NULL
);

-- Every change, in the global order: which row of which mapping. What became of the row is read from the source.
CREATE TABLE lockstep.change (
    sequence bigint NOT NULL,
    tenancy_id uuid NOT NULL,
    mapping integer NOT NULL,
    uuid_1 uuid, uuid_2 uuid, uuid_3 uuid, uuid_4 uuid,
    text_1 text, text_2 text, text_3 text, text_4 text
) PARTITION BY RANGE (sequence);
-- What a tenancy has above its cursor.
CREATE INDEX change_tenancy_idx ON lockstep.change (tenancy_id, mapping, sequence);
-- What came after a number, of everybody: numbers lie in order.
CREATE INDEX change_sequence_idx ON lockstep.change USING brin (sequence) WITH (pages_per_range = 32, autosummarize = on);

-- The partitions of lockstep.change: numbers from first_sequence up to, not including, end_sequence.
CREATE TABLE lockstep.change_partition (
    first_sequence bigint PRIMARY KEY,
    end_sequence bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes partitions of `width` numbers until there is one for `up_to`. A change is written once and never updated: nothing
-- is there to be vacuumed.
CREATE FUNCTION lockstep.extend_change(up_to bigint, width bigint DEFAULT 16777216) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $lockstep$
DECLARE
    next bigint := COALESCE((SELECT max(end_sequence) FROM lockstep.change_partition), 0);
BEGIN
    IF up_to >= next + 100 * width THEN
        -- The numbers between were left out: nothing will be written there.
        next := up_to - up_to % width;
    END IF;
    WHILE next <= up_to LOOP
        EXECUTE format('CREATE TABLE lockstep.change_%s PARTITION OF lockstep.change FOR VALUES FROM (%s) TO (%s) WITH (autovacuum_vacuum_insert_threshold = -1)', next, next, next + width);
        INSERT INTO lockstep.change_partition (first_sequence, end_sequence) VALUES (next, next + width);
        next := next + width;
    END LOOP;
END
$lockstep$;
SELECT lockstep.extend_change(0);

-- What passes have done. The newest row is the head: every change up to last_sequence was committed with it, or before.
CREATE TABLE lockstep.pass (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_sequence bigint NOT NULL,
    -- The lines of all transactions that this snapshot sees have their numbers, except what is left of those in unfinished.
    consumed pg_snapshot NOT NULL,
    -- Large transactions that are taken in shares, and how far each was taken: {"xid", "inbox", "file", "after", "until", "since"}.
    unfinished jsonb NOT NULL DEFAULT '[]',
    passed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO lockstep.pass (last_sequence, consumed) VALUES (0, '1:1:');

-- In which server and database the transaction ids in lockstep.pass were handed out. Elsewhere (a dump was loaded into
-- another server) they mean nothing: then every line that is there is numbered once more.
CREATE TABLE lockstep.origin (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    system_identifier text NOT NULL,
    database_oid oid NOT NULL
);

-- Lines that stand for rows which have to be searched: dependents of another row, all rows of a tenancy, what a fill may have
-- missed. Worked off by the sequencer in transactions that write the lines of these rows, and delete this.
CREATE TABLE lockstep.expansion (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target integer NOT NULL,
    tenancy_id uuid,
    project_id text,
    branch_id text,
    uuid_1 uuid, uuid_2 uuid, uuid_3 uuid, uuid_4 uuid,
    text_1 text, text_2 text, text_3 text, text_4 text,
    -- Rows that transactions from this one on have written; null: all rows.
    since bigint,
    -- The last number before the pass that wrote this: what has a higher one is read as what this follows from left it.
    numbered_after bigint,
    -- Whether it was numbered with a share of a large transaction, and is about a tenancy: it is worked off once no share is
    -- left. What came together with very many tenancies has its numbers by then, and need not be searched.
    of_share boolean NOT NULL DEFAULT FALSE,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX expansion_at_once_idx ON lockstep.expansion (id) WHERE NOT of_share;

-- Where every tenancy is and was. Rows at a former location must vanish from there; a tenancy that is gone is still known.
CREATE TABLE lockstep.tenancy_location (
    tenancy_id uuid NOT NULL,
    project_id text NOT NULL,
    branch_id text NOT NULL,
    -- When it was noted that it came there, for the last time.
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_at timestamptz,
    PRIMARY KEY (tenancy_id, project_id, branch_id)
);
CREATE INDEX tenancy_location_place_idx ON lockstep.tenancy_location (project_id, branch_id);
CREATE INDEX tenancy_location_gone_idx ON lockstep.tenancy_location (gone_at) WHERE gone_at IS NOT NULL;

-- The tables that are captured, with what their rows and columns were when they were last looked at. Where that has changed,
-- rows may have changed without a trigger.
CREATE TABLE lockstep.captured_table (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    shape text NOT NULL,
    -- Its triggers name no column, so that migrations can go on (`lockstep migrate --relax`).
    relaxed boolean NOT NULL DEFAULT FALSE,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schema_name, table_name)
);
