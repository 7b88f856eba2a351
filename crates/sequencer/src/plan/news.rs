//! Who has news, and of which mappings: what a pass writes to the outbox (OUT-1).

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::{MappingName, TenancyId};
use uuid::Uuid;

/// Tenancies with news.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct News(BTreeMap<Uuid, Scope>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Scope {
    /// Any mapping may have some.
    Any,
    /// These, by their place in the set of mappings.
    Of(BTreeSet<usize>),
}

impl News {
    /// These mappings of the tenancy have news; none of them: nothing happens.
    pub(crate) fn add(&mut self, tenancy: TenancyId, mappings: &[usize]) {
        if mappings.is_empty() {
            return;
        }
        match self.0.entry(tenancy.as_uuid()).or_insert_with(|| Scope::Of(BTreeSet::new())) {
            Scope::Any => {}
            Scope::Of(known) => known.extend(mappings),
        }
    }

    /// Any mapping of the tenancy may have news.
    pub(crate) fn add_any(&mut self, tenancy: TenancyId) {
        self.0.insert(tenancy.as_uuid(), Scope::Any);
    }

    /// How many tenancies.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// As columns, in the order of tenancies: their ids, and the names of their mappings joined by commas, which no name
    /// holds; nothing where any mapping may have news. `names` are those of all mappings.
    pub(crate) fn columns(&self, names: &[MappingName]) -> (Vec<Uuid>, Vec<String>) {
        let joined = |scope: &Scope| match scope {
            Scope::Any => String::new(),
            Scope::Of(mappings) => {
                mappings.iter().map(|&mapping| names[mapping].as_str()).collect::<Vec<_>>().join(",")
            }
        };
        self.0.iter().map(|(tenancy, scope)| (*tenancy, joined(scope))).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenancy(number: u128) -> TenancyId {
        TenancyId::new(Uuid::from_u128(number))
    }

    #[test]
    fn news_of_a_tenancy_are_gathered_in_one_row() {
        let names = ["users", "teams", "contact_channels"].map(|name| name.parse().unwrap());
        let mut news = News::default();
        news.add(tenancy(2), &[1]);
        news.add(tenancy(1), &[2, 0]);
        news.add(tenancy(2), &[0, 1]);
        news.add(tenancy(3), &[]);
        news.add(tenancy(4), &[0]);
        news.add_any(tenancy(4));
        news.add(tenancy(4), &[1]);
        let ids = [1, 2, 4].map(Uuid::from_u128).to_vec();
        let joined = ["users,contact_channels", "users,teams", ""].map(String::from).to_vec();
        assert_eq!(news.columns(&names), (ids, joined));
        assert_eq!(news.len(), 3);
    }
}
