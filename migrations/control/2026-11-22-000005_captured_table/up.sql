-- Since when the rows of a table are captured: the transaction after the one that installed the triggers. A row that is
-- newer, has no number and waits for none was written past the triggers, which `lockstep doctor` says.
CREATE TABLE lockstep.captured_table (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    since xid8 NOT NULL DEFAULT pg_current_xact_id(),
    since_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema_name, table_name)
);
