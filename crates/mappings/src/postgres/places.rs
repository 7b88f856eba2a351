//! Who is at a place.

use super::names::{table, tenancy_table};

/// The tenancies that live at these places, or have lived there, each once and in order. `$1`: projects, `$2`: their branches.
pub fn tenancies_ever_at() -> String {
    format!(
        "SELECT t.\"id\" FROM unnest($1::text[], $2::text[]) AS p(project_id, branch_id)
JOIN {} t ON t.\"projectId\" = p.project_id AND t.\"branchId\" = p.branch_id
UNION SELECT l.tenancy_id FROM unnest($1::text[], $2::text[]) AS p(project_id, branch_id)
JOIN lockstep.tenancy_location l ON l.project_id = p.project_id AND l.branch_id = p.branch_id ORDER BY 1",
        table(&tenancy_table())
    )
}
