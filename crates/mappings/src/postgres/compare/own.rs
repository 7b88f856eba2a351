//! The rows of one tenancy, for a destination that holds these alone.

use lockstep_core::TenancyId;

use super::{Chosen, Part, Scope, copied, key_is_wanted, ordered_by, part, plain_joins, wanted};
use crate::mapping::Mapping;
use crate::postgres::row;

/// As [`super::rows_of`], but of the tenancy `owner` itself: none where it is gone, and whatever others have at its place is
/// none of it. Where the rows are is none of the scope, since there is one place only: project and branch are empty.
///
/// The tenancy is a constant, and so is the column by which a row belongs to it: an index that the platform has for that
/// column finds the rows, and no row of others is looked at.
pub fn own_rows(mapping: &Mapping, owner: TenancyId, scope: Scope<'_>, part: Part<'_>) -> String {
    let tenancies = part::tenancies();
    let mut chosen = format!("{} AND t.\"id\" = '{owner}'::uuid{}", part.condition(mapping), scope.and_bucket(mapping));
    let (tenancies, joins, order) = match scope {
        Scope::Keys(keys) => {
            chosen.push_str(&format!(" AND {}", key_is_wanted(mapping, "s")));
            (format!("{} JOIN {tenancies} ON TRUE", wanted(mapping, keys)), row::joins(mapping, "s"), String::new())
        }
        _ if part.is_range() => (tenancies, plain_joins(mapping), String::new()),
        _ => (tenancies, plain_joins(mapping), ordered_by(mapping, "")),
    };
    let place = "''::text AS project_id, ''::text AS branch_id";
    copied(mapping, &Chosen { place, tenancies: &tenancies, joins: &joins, chosen: &chosen, order: &order })
}
