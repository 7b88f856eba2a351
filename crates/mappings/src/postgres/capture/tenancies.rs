//! Tenancies: that all their rows follow when they come, move or go.

use std::collections::BTreeSet;

use super::super::names::tenancy_table;
use super::super::target::Target;
use super::subject::{LineColumn, Subject};
use crate::set::MappingSet;

/// A tenancy that came, moved or went, or that became or ceased to be the one without organisation of its place. Where it
/// was is written down too.
pub(super) fn subject(set: &MappingSet) -> Subject<'_> {
    Subject::unfiltered(
        "tenancy",
        tenancy_table(),
        Target::tenancy(),
        set.iter().map(Target::refill).collect(),
        vec![
            LineColumn::new("tenancy_id", "uuid", "id"),
            LineColumn::new("project_id", "text", "projectId"),
            LineColumn::new("branch_id", "text", "branchId"),
            // Makes a line of what was and a line of what is where this alone has changed.
            LineColumn { is_required: false, ..LineColumn::new("text_1", "text", "hasNoOrganization") },
        ],
        ["id", "projectId", "branchId", "hasNoOrganization"].map(str::to_owned).into_iter().collect::<BTreeSet<_>>(),
    )
}
