-- Lockstep's own tables. They run in schema "lockstep" of the source database, so that they commit with what they speak of.

-- Tenancies with news that no message has announced yet (OUT-1). One row a tenancy, so a broker that is down makes it as
-- large as the number of tenancies and no larger. A row is deleted only where its generation is the one that was published.
CREATE SEQUENCE lockstep.outbox_generation AS bigint;
CREATE TABLE lockstep.outbox (
    tenancy_id uuid PRIMARY KEY,
    -- Names of mappings with news; empty: any of them may have some.
    mappings text[] NOT NULL,
    generation bigint NOT NULL DEFAULT nextval('lockstep.outbox_generation'),
    enqueued_at timestamptz NOT NULL DEFAULT now()
);

-- Changes that concern rows of other tables (CAP-3), written by triggers, worked off by the sequencer.
CREATE TABLE lockstep.touch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- `mapping.join`, or `tenancy` for all rows of a tenancy.
    target text NOT NULL,
    tenancy_id uuid NOT NULL,
    match_key text,
    -- Drawn from the sequence when the sequencer first saw the touch: rows at or above it were stamped since.
    floor bigint,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- The last number that was stamped, written in the stamping transaction: a snapshot that sees it sees all rows up to it (SEQ-1).
CREATE TABLE lockstep.sequence_head (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    last_sequence bigint NOT NULL DEFAULT 0,
    stamped_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lockstep.sequence_head DEFAULT VALUES;

-- `lockstep wait` asks: which number covers everything that was committed before this row? The sequencer answers.
CREATE TABLE lockstep.fence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    sequence bigint
);

-- Where every tenancy is and was. Rows at a former location must vanish from there; a tenancy that is gone is still known.
CREATE TABLE lockstep.tenancy_location (
    tenancy_id uuid NOT NULL,
    project_id text NOT NULL,
    branch_id text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz,
    PRIMARY KEY (tenancy_id, project_id, branch_id)
);

-- Stamps that somebody else made: written at most once a transaction and table, kept small by the sequencer.
CREATE TABLE lockstep.foreign_stamp (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    application_name text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- The base snapshot of a mapping for a destination, in ranges of heap blocks that workers claim for a while.
CREATE TABLE lockstep.snapshot (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    -- Changes when the table is rewritten, which moves rows between blocks: then the snapshot starts again.
    source_filenode oid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (mapping_name, destination)
);
CREATE TABLE lockstep.snapshot_range (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    first_block bigint NOT NULL,
    end_block bigint NOT NULL,
    claimed_by text,
    claimed_until timestamptz,
    finished_at timestamptz,
    shipped_rows bigint,
    PRIMARY KEY (mapping_name, destination, first_block),
    FOREIGN KEY (mapping_name, destination) REFERENCES lockstep.snapshot ON DELETE CASCADE
);
