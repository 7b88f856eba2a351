//! What changed last, so that it is looked at first.

use std::cmp::Reverse;
use std::collections::HashMap;

use lockstep_core::TenancyId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::Target;
use tokio_postgres::Client;

use crate::error::VerifyError;

/// So many of the last changes are looked through: numbers lie in order, so this takes milliseconds.
const LAST_CHANGES: i64 = 100_000;

/// By mapping and tenancy, the last number of each pair among the last changes.
const LAST: &str = "SELECT mapping, tenancy_id, max(sequence) FROM lockstep.change
WHERE sequence > (SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1) - $1 GROUP BY mapping, tenancy_id";

/// The last numbers of mappings and tenancies; empty where nobody asks.
#[derive(Default, Debug)]
pub(crate) struct LastChanges {
    mappings: HashMap<i32, i64>,
    tenancies: HashMap<TenancyId, i64>,
}

impl LastChanges {
    pub(crate) async fn read(client: &Client) -> Result<Self, VerifyError> {
        let mut last = Self::default();
        for row in client.query(LAST, &[&LAST_CHANGES]).await? {
            last.note(row.get(0), TenancyId::new(row.get(1)), row.get(2));
        }
        Ok(last)
    }

    fn note(&mut self, mapping: i32, tenancy: TenancyId, sequence: i64) {
        let of_mapping = self.mappings.entry(mapping).or_default();
        *of_mapping = sequence.max(*of_mapping);
        let of_tenancy = self.tenancies.entry(tenancy).or_default();
        *of_tenancy = sequence.max(*of_tenancy);
    }

    /// Puts what changed last in front; the order of the others stays.
    pub(crate) fn sort_mappings(&self, mappings: &mut [&Mapping]) {
        mappings.sort_by_cached_key(|mapping| Reverse(self.mappings.get(&Target::row(mapping).id()).copied()));
    }

    /// Puts what belongs to tenancies that changed last in front; the order of the others stays.
    pub(crate) fn sort_by_tenancy<T>(&self, all: &mut [T], tenancy: impl Fn(&T) -> TenancyId) {
        all.sort_by_key(|one| Reverse(self.tenancies.get(&tenancy(one)).copied()));
    }
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::MappingSet;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_changed_last_comes_first_and_the_others_stay_in_their_order() {
        let set = MappingSet::built_in();
        let mut mappings: Vec<_> = set.iter().collect();
        let before: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        let mut last = LastChanges::default();
        last.sort_mappings(&mut mappings);
        assert_eq!(mappings.iter().map(|mapping| mapping.name.as_str()).collect::<Vec<_>>(), before);
        let [one, two, three] = [1, 2, 3].map(|n| TenancyId::new(Uuid::from_u128(n)));
        last.note(Target::row(mappings[5]).id(), two, 7);
        last.note(Target::row(mappings[3]).id(), three, 9);
        last.note(Target::row(mappings[5]).id(), three, 8);
        last.sort_mappings(&mut mappings);
        let after: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        assert_eq!((after[0], after[1], after[2]), (before[3], before[5], before[0]));
        let mut tenancies = [one, two, three];
        last.sort_by_tenancy(&mut tenancies, |tenancy| *tenancy);
        assert_eq!(tenancies, [three, two, one]);
    }
}
