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
