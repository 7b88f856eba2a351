//! Deleting tombstones from the source once every destination has passed them, and their retention is over.
//!
//! What a cursor has passed, its destination holds (CUR-1): nobody reads that tombstone again.

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Cursors, Destination, Selection};

use super::{Janitor, JanitorError};
use crate::storage::clean::Passed;
use crate::storage::janitor::{JanitorSession, Patience};

/// Tenancies of one round: the next round looks at the next ones.
const TENANCIES_AT_ONCE: u32 = 500;

impl Janitor {
    /// Deletes tombstones of the next few tenancies. Returns how many.
    pub(super) async fn prune(&mut self, session: &JanitorSession, patience: Patience) -> Result<u64, JanitorError> {
        let page = session.tenancies_with_tombstones(self.pruned_up_to, TENANCIES_AT_ONCE).await?;
        let mut passed = Vec::new();
        if !page.is_empty() {
            let names: Vec<_> = self.set.iter().map(|mapping| mapping.name.clone()).collect();
            let tenancies: Vec<_> = page.iter().map(|(tenancy, _)| *tenancy).collect();
            let cursors = self.clickhouse.cursors(Selection::These(&tenancies), Selection::These(&names)).await?;
            for (source, mappings) in self.set.by_source() {
                let names: Vec<_> = mappings.iter().map(|mapping| &mapping.name).collect();
                passed.extend(passed_by_all(&page, &names, &cursors).map(|(tenancy, up_to)| Passed {
                    tenancy,
                    table: source.name.clone(),
                    up_to,
                }));
            }
        }
        let pruned = session.prune(&passed, patience.retention, self.limits.prune_rows).await?;
        // Those that had more than one statement deletes come first in the next round.
        if pruned < u64::from(self.limits.prune_rows) {
            let is_last = page.len() < TENANCIES_AT_ONCE as usize;
            let last = page.last().filter(|_| !is_last);
            self.pruned_up_to = last.map(|(tenancy, _)| tenancy.as_uuid()).unwrap_or_default();
        }
        Ok(pruned)
    }
}

/// Up to which number tombstones of each tenancy have been passed by all mappings that read a table. A tenancy that was
/// erased has passed all of them.
fn passed_by_all<'a>(
    page: &'a [(TenancyId, bool)],
    names: &'a [&'a MappingName],
    cursors: &'a Cursors,
) -> impl Iterator<Item = (TenancyId, SequenceId)> + 'a {
    let cursor =
        |tenancy: TenancyId, name: &MappingName| cursors.get(&(tenancy, name.clone())).copied().unwrap_or_default();
    page.iter().filter_map(move |&(tenancy, erased)| {
        let lowest = names.iter().map(|name| cursor(tenancy, name)).min().unwrap_or_default();
        let up_to = if erased { SequenceId::new(i64::MAX) } else { lowest };
        (up_to > SequenceId::BASE).then_some((tenancy, up_to))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_tombstone_stays_until_the_slowest_mapping_has_passed_it() {
        let [living, new, erased] = [1, 2, 3].map(|id| TenancyId::new(Uuid::from_u128(id)));
        let [users, emails]: [MappingName; 2] = ["users", "emails"].map(|name| name.parse().unwrap());
        let cursors = Cursors::from([
            ((living, users.clone()), SequenceId::new(9)),
            ((living, emails.clone()), SequenceId::new(5)),
            ((new, users.clone()), SequenceId::new(9)),
        ]);
        let page = [(living, false), (new, false), (erased, true)];
        let passed = |names: &[&MappingName]| passed_by_all(&page, names, &cursors).collect::<Vec<_>>();
        let all = (erased, SequenceId::new(i64::MAX));
        assert_eq!(passed(&[&users, &emails]), [(living, SequenceId::new(5)), all]);
        assert_eq!(passed(&[&users]), [(living, SequenceId::new(9)), (new, SequenceId::new(9)), all]);
    }
}
