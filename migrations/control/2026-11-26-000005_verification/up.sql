-- Runs of the verifier. Written by it, read by `lockstep verified`; the last thousand are kept.
CREATE TABLE lockstep.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL CHECK (level IN ('versions', 'content', 'rows')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What was asked for: tenants, mappings and destinations, each null where it was all.
    scope jsonb NOT NULL,
    -- equal, different, in_flight or unfinished.
    verdict text NOT NULL,
    -- Counts by destination and mapping.
    counts jsonb NOT NULL
);

-- What was found equal, through which number. A row is about projects from the first on, up to the one that is its end (none where there
-- is no end), or, where it names a branch, about that one place. In a database of one tenancy's own all projects are its rows.
-- Written by the verifier: a run over everything takes the place of all rows of its destination, mapping and level.
CREATE TABLE lockstep.verified (
    verification_id bigint NOT NULL,
    destination text NOT NULL,
    mapping_name text NOT NULL,
    level text NOT NULL,
    first_project text COLLATE "C" NOT NULL,
    end_project text COLLATE "C",
    branch_id text,
    -- Everything that the source held when this number was given out is in the destination as it is in the source.
    through bigint NOT NULL,
    through_at timestamptz NOT NULL
);
CREATE INDEX verified_idx ON lockstep.verified (destination, mapping_name, level);

-- Places within these ranges of which nothing is said: something differed there, was on its way, or could not be judged.
CREATE TABLE lockstep.verified_except (
    verification_id bigint NOT NULL,
    destination text NOT NULL,
    mapping_name text NOT NULL,
    project_id text NOT NULL,
    branch_id text NOT NULL,
    PRIMARY KEY (verification_id, destination, mapping_name, project_id, branch_id)
);

-- Rows that differed, by key as it may be shown. Written by the verifier; resolved ones are kept for 90 days.
CREATE TABLE lockstep.finding (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination text NOT NULL,
    mapping_name text NOT NULL,
    project_id text NOT NULL,
    branch_id text NOT NULL,
    key jsonb NOT NULL,
    tenancy_id uuid,
    class text NOT NULL,
    columns text[] NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    -- The run that saw it last.
    verification_id bigint NOT NULL
);
CREATE UNIQUE INDEX finding_open_idx ON lockstep.finding (destination, mapping_name, project_id, branch_id, key) WHERE resolved_at IS NULL;
CREATE INDEX finding_tenancy_idx ON lockstep.finding (tenancy_id);
