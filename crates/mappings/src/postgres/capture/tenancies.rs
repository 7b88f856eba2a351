//! Tenancies: where they are, where they were, and that all their rows follow when they come or move.

use std::fmt::Write as _;

use super::tombstones::{Owner, record};
use super::{CaptureObject, DEFINER, function, trigger};
use crate::mapping::Tenant;
use crate::postgres::names::{TENANCY_TOUCH, tenancy_table};
use crate::postgres::quote::{identifier, literal, table};
use crate::postgres::row;
use crate::set::MappingSet;

pub(super) fn objects(set: &MappingSet) -> Vec<CaptureObject> {
    let tenancy = tenancy_table();
    let touch = literal(TENANCY_TOUCH);
    let arrived = format!(
        r#"  INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) VALUES (NEW."id", NEW."projectId", NEW."branchId")
    ON CONFLICT (tenancy_id, project_id, branch_id) DO UPDATE SET gone_at = NULL;
  INSERT INTO lockstep.touch (target, tenancy_id) VALUES ({touch}, NEW."id");
"#
    );
    let gone = format!(
        r#"  UPDATE lockstep.tenancy_location SET gone_at = now() WHERE tenancy_id = OLD."id";
  INSERT INTO lockstep.touch (target, tenancy_id) VALUES ({touch}, OLD."id");
"#
    );
    let left = left_behind(set);
    let moved = format!("{left}  IF NEW.\"id\" <> OLD.\"id\" THEN\n  {gone}  END IF;\n{arrived}");
    let truncated = format!(
        "  INSERT INTO lockstep.touch (target, tenancy_id) SELECT {touch}, t.\"id\" FROM {} t;\n  UPDATE lockstep.tenancy_location SET gone_at = now() WHERE gone_at IS NULL;\n  RETURN NULL;",
        table(&tenancy)
    );
    let end = "  RETURN NULL;";
    vec![
        function("tenancy_arrived", DEFINER, &format!("{arrived}{end}")),
        function("tenancy_moved", DEFINER, &format!("{moved}{end}")),
        // It may come back with its old id, elsewhere.
        function("tenancy_gone", DEFINER, &format!("{left}{gone}{end}")),
        function("tenancy_truncated", DEFINER, &truncated),
        trigger(&tenancy, "lockstep_arrived", "AFTER INSERT", "FOR EACH ROW", "tenancy_arrived"),
        trigger(
            &tenancy,
            "lockstep_moved",
            "AFTER UPDATE",
            r#"FOR EACH ROW WHEN (OLD."id" <> NEW."id" OR OLD."projectId" <> NEW."projectId" OR OLD."branchId" <> NEW."branchId" OR OLD."hasNoOrganization" IS DISTINCT FROM NEW."hasNoOrganization")"#,
            "tenancy_moved",
        ),
        trigger(&tenancy, "lockstep_gone", "AFTER DELETE", "FOR EACH ROW", "tenancy_gone"),
        trigger(&tenancy, "lockstep_truncated", "BEFORE TRUNCATE", "FOR EACH STATEMENT", "tenancy_truncated"),
    ]
}

/// Rows that are found by project and branch do not follow their tenancy: they leave it.
fn left_behind(set: &MappingSet) -> String {
    let mut sql = String::new();
    for (source, mappings) in set.by_source() {
        let Some(tenant @ Tenant::ProjectAndBranch { .. }) = mappings.first().map(|mapping| &mapping.tenant) else {
            continue;
        };
        let columns: Vec<_> =
            row::tenant_columns(tenant).iter().map(|column| format!("s.{}", identifier(column))).collect();
        let condition = format!(
            "({}) = (OLD.\"projectId\", OLD.\"branchId\") AND OLD.\"hasNoOrganization\" = 'TRUE' AND ({})",
            columns.join(", "),
            row::in_any(&mappings, "s")
        );
        // The tenancy is the one that moved, wherever it is by now.
        let owner = Owner { id: "OLD.\"id\"".to_owned(), join: String::new() };
        let statement = record(source, &mappings, &owner, &format!("{} s", table(source)), &condition);
        let _ = writeln!(sql, "  {statement};");
    }
    sql
}
