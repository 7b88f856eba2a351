//! A table of tenancies for a database that is not the platform's.

use super::names::{identifier, table, tenancy_table};
use crate::mapping::SourceTable;

/// The function that keeps the table, and the first of its triggers: no name of an application's, and not one of capture's, which begin
/// with `lockstep_`.
pub const KEEPER: &str = "keep_lockstep_tenancies";

/// Statements that take out again what [`tenancies_kept_from`] made. The triggers go with their function, and nothing else does: where
/// something of the application's has come to refer to the table, it stays, and that is said.
pub fn tenancies_taken_out() -> [String; 2] {
    [format!("DROP FUNCTION public.{KEEPER}() CASCADE"), format!("DROP TABLE {}", table(&tenancy_table()))]
}

/// Statements that make the table of tenancies and keep a row in it for each row of `tenants`, which has the unique column `key` of
/// type `uuid`. A tenancy has its key as id and as project, the branch `main`, and no organisation. For people to read and to
/// run: Lockstep itself runs none of them. Names stand in statements only, quoted: in a comment one with a line end would end it.
///
/// Making the triggers locks the tenants' table against writes until the transaction ends, and READ COMMITTED sees what had
/// committed by then, so no tenant comes between. Rows that a policy hides are an error and not left out. No statement of the
/// application fails for this: a row that is there already stays, and one goes only where its tenant is gone, whatever order the
/// rows of a statement, of a deferred key or of a restore come in. The function runs with its owner's rights: who writes tenants need
/// not write tenancies.
pub fn tenancies_kept_from(tenants: &SourceTable, key: &str) -> String {
    let (tenancies, tenants, key) = (table(&tenancy_table()), table(tenants), identifier(key));
    let taken_out = tenancies_taken_out().join("; ");
    let tags = (0_u32..).map(|number| format!("$keep{number}$"));
    let body = tags.into_iter().find(|tag| !tenants.contains(tag) && !key.contains(tag)).unwrap_or_default();
    format!(
        r#"-- Who the tenants are, in the form that Lockstep reads: one row for each row of the application's table of tenants, to which
-- three triggers are added and nothing else. Read it, then run it as the owner of that table.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL row_security = off;
CREATE TABLE {tenancies} (
    "id" uuid PRIMARY KEY,
    "projectId" text NOT NULL,             -- what readers see as the tenant
    "branchId" text NOT NULL DEFAULT 'main',
    "hasNoOrganization" text DEFAULT 'TRUE'
);
CREATE UNIQUE INDEX ON {tenancies} ("projectId", "branchId", "hasNoOrganization");

CREATE FUNCTION public.{KEEPER}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS {body}
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        DELETE FROM {tenancies} t WHERE t."id" = OLD.{key} AND NOT EXISTS (SELECT FROM {tenants} o WHERE o.{key} = t."id");
    ELSIF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {tenancies};
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO {tenancies} ("id", "projectId") VALUES (NEW.{key}, NEW.{key}::text) ON CONFLICT ("id") DO NOTHING;
    END IF;
    RETURN NULL;
END {body};
REVOKE ALL ON FUNCTION public.{KEEPER}() FROM PUBLIC;
CREATE TRIGGER {KEEPER} AFTER INSERT OR DELETE ON {tenants} FOR EACH ROW EXECUTE FUNCTION public.{KEEPER}();
CREATE TRIGGER {KEEPER}_of_renamed AFTER UPDATE ON {tenants} FOR EACH ROW WHEN (OLD.{key} IS DISTINCT FROM NEW.{key})
    EXECUTE FUNCTION public.{KEEPER}();
CREATE TRIGGER {KEEPER}_of_none AFTER TRUNCATE ON {tenants} FOR EACH STATEMENT EXECUTE FUNCTION public.{KEEPER}();
-- Rows that logical replication brings count too.
ALTER TABLE {tenants} ENABLE ALWAYS TRIGGER {KEEPER}, ENABLE ALWAYS TRIGGER {KEEPER}_of_renamed,
    ENABLE ALWAYS TRIGGER {KEEPER}_of_none;

INSERT INTO {tenancies} ("id", "projectId") SELECT o.{key}, o.{key}::text FROM {tenants} o;
COMMIT;

-- How all of it is taken out again, after `lockstep detach`:
--   {taken_out};
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_an_application_end_neither_a_comment_nor_the_function() {
        let named = |name: &str| SourceTable { schema: name.to_owned(), name: "account".to_owned() };
        let made = tenancies_kept_from(&named("x\nDROP TABLE y; --"), "i$keep0$d");
        let comments: Vec<_> = made.lines().filter(|line| line.starts_with("--")).collect();
        assert!(comments.iter().all(|line| !line.contains("account")), "{comments:?}");
        assert!(made.contains("AS $keep1$") && made.contains("END $keep1$;"), "{made}");
        assert!(tenancies_kept_from(&named("{key}"), "id").contains("\"{key}\".\"account\""));
    }
}
