-- Tenants' own databases as destinations. Each holds its own cursors; what is here is who they are, and what operators see.

-- One database of one tenancy. `lockstep destination add` writes it, the workers its progress. It ends with `lockstep
-- destination remove`, or with the erasure of its tenancy. It is paused as every destination is, by its id in lockstep.pause.
CREATE TABLE lockstep.tenant_destination (
    id uuid PRIMARY KEY,
    tenancy_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('postgres')),
    -- Mappings that go there; null: all that there are.
    mappings text[],
    -- The connection string, encrypted with the key of this id (LOCKSTEP_SECRET_KEY_FILE), and what may be shown of it.
    key_id text NOT NULL,
    connection bytea NOT NULL,
    host text NOT NULL,
    port integer NOT NULL,
    database_name text NOT NULL,
    user_name text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Grows with every change to what is above: workers notice it, and connect anew.
    revision bigint NOT NULL DEFAULT 1,
    -- The highest number of a change of its tenancy that was noted, and through which number it holds everything.
    known bigint NOT NULL DEFAULT 0,
    passed bigint NOT NULL DEFAULT 0,
    -- Whatever the numbers say, there is work: a fill, or a first look.
    unfinished boolean NOT NULL DEFAULT TRUE,
    last_success_at timestamptz,
    -- Its circuit breaker, which all workers obey: failures in a row, and when it may be tried again.
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    retry_at timestamptz,
    -- The last failure: of docs/errors, and without values.
    error_code text,
    error text
);
CREATE INDEX tenant_destination_tenancy_idx ON lockstep.tenant_destination (tenancy_id);
-- The few that are due are looked for every second, among many that are in step.
CREATE INDEX tenant_destination_due_idx ON lockstep.tenant_destination (retry_at) WHERE known > passed OR unfinished;

-- A mapping of such a destination, once it was looked at. Written by the workers; `lockstep resync --destination` asks for a refill.
CREATE TABLE lockstep.tenant_mapping (
    destination_id uuid NOT NULL REFERENCES lockstep.tenant_destination ON DELETE CASCADE,
    mapping_name text NOT NULL,
    -- filling: its rows are read for the first time, or again. streaming: it follows changes. stopped: its table there does not
    -- fit; the others go on.
    state text NOT NULL CHECK (state IN ('filling', 'streaming', 'stopped')),
    -- Why the last fill was begun, how many rows it has shipped of about how many, and when it ended.
    fill_reason text,
    filled_rows bigint NOT NULL DEFAULT 0,
    total_rows bigint,
    filled_at timestamptz,
    -- Why it is stopped: of docs/errors, and without values.
    error_code text,
    error text,
    -- It is to be filled again, whatever its cursor says.
    refill_requested_at timestamptz,
    PRIMARY KEY (destination_id, mapping_name)
);

-- What is known of all of them together: through which number changes were noted in tenant_destination.known, which the workers
-- move; and how often any was added, changed or removed, so that a worker that asks for it need not read them all.
CREATE TABLE lockstep.tenant_sweep (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    through bigint NOT NULL DEFAULT 0,
    registrations bigint NOT NULL DEFAULT 0
);
INSERT INTO lockstep.tenant_sweep DEFAULT VALUES;

CREATE FUNCTION lockstep.count_registrations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockstep$
BEGIN
  UPDATE lockstep.tenant_sweep SET registrations = registrations + 1;
  RETURN NULL;
END
$lockstep$;
CREATE TRIGGER lockstep_registered AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF revision ON lockstep.tenant_destination
    FOR EACH STATEMENT EXECUTE FUNCTION lockstep.count_registrations();
ALTER TABLE lockstep.tenant_destination ENABLE ALWAYS TRIGGER lockstep_registered;
