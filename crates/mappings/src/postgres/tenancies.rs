//! A table of tenancies for a database that is not the platform's.

use super::names::{identifier, literal, table, tenancy_table};
use crate::mapping::SourceTable;

/// Statements that make the table of tenancies and keep a row in it for each row of `tenants`, whose primary key is the one column
/// `key` of type `uuid`. A tenancy has its key as id and as project, the branch `main`, and no organisation. For people to read, and to
/// run in one transaction: Lockstep itself runs none of them.
pub fn tenancies_kept_from(tenants: &SourceTable, key: &str) -> String {
    TENANCIES
        .replace("{tenancies}", &table(&tenancy_table()))
        .replace("{tenants}", &table(tenants))
        .replace(
            "{comment}",
            &literal(&format!("Tenants as Lockstep reads them, kept by triggers of {}", table(tenants))),
        )
        .replace("{key}", &identifier(key))
}

/// The trigger that makes a row for a tenant locks the tenants' table against writes until the transaction ends, so no tenant comes
/// between the trigger and the first fill. The function runs with its owner's rights: who writes tenants need not write tenancies.
const TENANCIES: &str = r#"-- Who the tenants are, in the form that Lockstep reads: one row for each row of {tenants}.
-- Read it, then run it in one transaction. Nothing of {tenants} is changed but that it has three triggers.
CREATE TABLE {tenancies} (
    "id" uuid PRIMARY KEY,
    "projectId" text NOT NULL,             -- what readers see as the tenant
    "branchId" text NOT NULL DEFAULT 'main',
    "hasNoOrganization" text DEFAULT 'TRUE'
);
COMMENT ON TABLE {tenancies} IS {comment};
CREATE UNIQUE INDEX ON {tenancies} ("projectId", "branchId", "hasNoOrganization");

CREATE FUNCTION public.keep_tenancies() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        DELETE FROM {tenancies} WHERE "id" = OLD.{key};
    ELSIF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {tenancies};
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO {tenancies} ("id", "projectId") VALUES (NEW.{key}, NEW.{key}::text);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION public.keep_tenancies() FROM PUBLIC;
CREATE TRIGGER keep_tenancies AFTER INSERT OR DELETE ON {tenants} FOR EACH ROW EXECUTE FUNCTION public.keep_tenancies();
CREATE TRIGGER keep_tenancies_of_renamed AFTER UPDATE ON {tenants} FOR EACH ROW WHEN (OLD.{key} IS DISTINCT FROM NEW.{key})
    EXECUTE FUNCTION public.keep_tenancies();
CREATE TRIGGER keep_no_tenancies AFTER TRUNCATE ON {tenants} FOR EACH STATEMENT EXECUTE FUNCTION public.keep_tenancies();
-- Rows that logical replication brings count too.
ALTER TABLE {tenants} ENABLE ALWAYS TRIGGER keep_tenancies, ENABLE ALWAYS TRIGGER keep_tenancies_of_renamed,
    ENABLE ALWAYS TRIGGER keep_no_tenancies;

INSERT INTO {tenancies} ("id", "projectId") SELECT {key}, {key}::text FROM {tenants};

-- How all of it is taken out again, after `lockstep detach`:
--   DROP FUNCTION public.keep_tenancies() CASCADE; DROP TABLE {tenancies};
"#;
