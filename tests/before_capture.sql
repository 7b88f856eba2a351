-- The source schema of our own has the capture columns from the start; a platform's has not.
DO $$
DECLARE
    name text;
BEGIN
    DROP TABLE "DeletedRow";
    FOR name IN SELECT table_name FROM information_schema.columns WHERE column_name = 'sequenceId' LOOP
        EXECUTE format('ALTER TABLE %I DROP COLUMN "sequenceId", DROP COLUMN "shouldUpdateSequenceId"', name);
    END LOOP;
END
$$;
