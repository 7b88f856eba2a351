-- What operators look at: how fresh destinations are, which programs run, and who changed what.

-- What the last sweep found of each mapping. Written by the worker that sweeps, once a second at most where something has
-- changed, else every ten seconds. A mapping that is gone leaves its row.
CREATE TABLE lockstep.sweep_result (
    mapping_name text NOT NULL,
    destination text NOT NULL,
    swept_at timestamptz NOT NULL,
    -- Tenancies whose cursors were asked for since the result before: those with changes.
    tenancies bigint NOT NULL,
    -- Tenancies with a change that their cursor has not passed, and since when the first of these changes has waited.
    behind bigint NOT NULL,
    oldest_behind_since timestamptz,
    PRIMARY KEY (mapping_name, destination)
);

-- The daemons that run. Each writes its own row every ten seconds, and deletes those that were not written for ten minutes.
CREATE TABLE lockstep.instance (
    id uuid PRIMARY KEY,
    -- sequencer or worker.
    role text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- How it is, as crates/schema/src/instances.rs has it, without values of rows; {"stopped": true} of one that signed off.
    state jsonb NOT NULL
);

-- Commands that change something, each with who ran it. Written by `lockstep`; kept until somebody deletes them.
CREATE TABLE lockstep.action (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The role in the source database, and the user of the machine that the command ran on where that is known.
    who text NOT NULL DEFAULT session_user,
    -- The address that the source database saw; null over a local socket.
    "from" text DEFAULT host(inet_client_addr()),
    what text NOT NULL,
    -- Ids, names and switches: no secret, and no tenant's values.
    arguments jsonb NOT NULL DEFAULT '{}',
    -- That it ended or failed, with its exit code; null while it runs, and where it was killed.
    outcome text
);
