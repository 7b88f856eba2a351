-- Rows that a destination refuses, each by the number it was stamped with: neither keys nor values are kept. A cursor passes
-- a row only when the destination holds it or this table does, committed before the cursor moves (CUR-1). An entry goes when
-- nothing carries its number any more (the row was changed or deleted, and what replaced it is a newer one's business), or
-- when the destination took the row after all.
CREATE TABLE lockstep.quarantine (
    destination text NOT NULL,
    mapping_name text NOT NULL,
    tenancy_id uuid NOT NULL,
    sequence bigint NOT NULL,
    -- Of docs/errors.
    code text NOT NULL,
    -- Without values of the row.
    error text NOT NULL,
    first_refused_at timestamptz NOT NULL DEFAULT now(),
    last_refused_at timestamptz NOT NULL DEFAULT now(),
    attempts bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (destination, mapping_name, tenancy_id, sequence)
);
-- Every flush asks which of its tenancies have entries.
CREATE INDEX quarantine_tenancy_idx ON lockstep.quarantine (tenancy_id);
