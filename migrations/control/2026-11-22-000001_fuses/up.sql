-- The fusebox: a row stops a part of Lockstep, deleting the row lets it go on. `lockstep fusebox` writes it; so may you.
CREATE TABLE lockstep.fuse (
    kind text NOT NULL CHECK (kind IN ('sequencer', 'worker', 'mapping', 'destination', 'tenant')),
    -- Of the mapping, the destination or the tenancy; empty for all sequencers and for all workers.
    name text NOT NULL DEFAULT '',
    blown_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (kind, name),
    CHECK ((name = '') = (kind IN ('sequencer', 'worker')))
);

-- How often something was let go on. A worker that looks at fuses now and then could miss one that was off for a moment,
-- and what another worker passed over meanwhile; it cannot miss that this number has grown.
CREATE TABLE lockstep.fuse_mended (
    singleton boolean PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    times bigint NOT NULL DEFAULT 0
);
INSERT INTO lockstep.fuse_mended DEFAULT VALUES;
CREATE FUNCTION lockstep.count_mended_fuses() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lockstep$
BEGIN
  UPDATE lockstep.fuse_mended SET times = times + 1;
  RETURN NULL;
END
$lockstep$;
CREATE TRIGGER lockstep_mended AFTER UPDATE OR DELETE OR TRUNCATE ON lockstep.fuse
    FOR EACH STATEMENT EXECUTE FUNCTION lockstep.count_mended_fuses();
ALTER TABLE lockstep.fuse ENABLE ALWAYS TRIGGER lockstep_mended;
