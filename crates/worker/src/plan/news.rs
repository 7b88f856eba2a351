//! Who has news in which mappings: what messages say, merged.

use std::collections::{BTreeSet, HashMap};

use lockstep_core::{SequenceId, TenancyId};
use lockstep_queue::{TenantBatch, TenantNews};

use crate::routes::Routes;

/// Tenancies in the order in which they were first named, each with the mappings (by their place in [`Routes`]) that may
/// have news. The order is what makes pages of huge tenants take turns with others (FAIR-1).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct News {
    order: Vec<TenancyId>,
    wanted: HashMap<TenancyId, BTreeSet<usize>>,
    /// Up to which number the news go, where that is known: a replica may not have replayed as far.
    numbered: HashMap<TenancyId, SequenceId>,
}

impl News {
    /// Adds mappings of a tenancy. None: nothing is added.
    pub fn add(&mut self, tenancy: TenancyId, mappings: impl IntoIterator<Item = usize>) {
        let mut mappings = mappings.into_iter().peekable();
        if mappings.peek().is_none() {
            return;
        }
        let order = &mut self.order;
        let wanted = self.wanted.entry(tenancy).or_insert_with(|| {
            order.push(tenancy);
            BTreeSet::new()
        });
        wanted.extend(mappings);
    }

    /// Says of a tenancy that is here that its news are numbered with numbers up to this one.
    pub fn raise(&mut self, tenancy: TenancyId, sequence: SequenceId) {
        if sequence > SequenceId::BASE && self.wanted.contains_key(&tenancy) {
            let numbered = self.numbered.entry(tenancy).or_default();
            *numbered = sequence.max(*numbered);
        }
    }

    /// Says the same of all that are here.
    pub(crate) fn raise_all(&mut self, sequence: SequenceId) {
        let tenancies = self.order.clone();
        tenancies.into_iter().for_each(|tenancy| self.raise(tenancy, sequence));
    }

    /// Up to which number a tenancy's news go, as far as is known.
    pub(crate) fn numbered(&self, tenancy: TenancyId) -> SequenceId {
        self.numbered.get(&tenancy).copied().unwrap_or_default()
    }

    /// The furthest of all these numbers.
    pub(crate) fn furthest(&self) -> SequenceId {
        self.numbered.values().copied().max().unwrap_or_default()
    }

    /// Those whose news a reader may not see yet who sees all numbers up to `head`.
    pub(crate) fn above(&self, head: SequenceId) -> Self {
        let mut above = Self::default();
        for tenancy in self.order.iter().filter(|tenancy| self.numbered(**tenancy) > head) {
            above.add(*tenancy, self.wanted[tenancy].iter().copied());
            above.raise(*tenancy, self.numbered(*tenancy));
        }
        above
    }

    /// Adds what a message says. Names that are not among `routes` are passed over: a newer sequencer, or one with more
    /// definitions, knows mappings that this worker does not ship.
    pub fn add_batch(&mut self, batch: &TenantBatch, routes: &Routes) {
        for news in &batch.tenants {
            self.add(news.tenancy, routes.places(&news.mappings));
            self.raise(news.tenancy, news.sequence);
        }
    }

    /// Adds all of `other`, after what is here.
    pub fn merge(&mut self, other: &Self) {
        for tenancy in &other.order {
            self.add(*tenancy, other.wanted[tenancy].iter().copied());
            self.raise(*tenancy, other.numbered(*tenancy));
        }
    }

    /// Keeps the pairs of a tenancy and a mapping for which `keep` says so.
    pub(crate) fn retain(&mut self, keep: impl Fn(TenancyId, usize) -> bool) {
        let wanted = &mut self.wanted;
        self.order.retain(|tenancy| {
            let Some(mappings) = wanted.get_mut(tenancy) else { return false };
            mappings.retain(|mapping| keep(*tenancy, *mapping));
            if mappings.is_empty() {
                wanted.remove(tenancy);
                return false;
            }
            true
        });
    }

    /// How many tenancies there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// How many pairs of a tenancy and a mapping there are.
    pub fn pairs(&self) -> usize {
        self.wanted.values().map(BTreeSet::len).sum()
    }

    /// Whether nobody has news.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The tenancies, in order.
    pub fn tenancies(&self) -> &[TenancyId] {
        &self.order
    }

    /// The mappings that any tenancy has news in.
    pub fn mappings(&self) -> BTreeSet<usize> {
        self.wanted.values().flatten().copied().collect()
    }

    /// The tenancies with news in one mapping, in order.
    pub fn of_mapping(&self, mapping: usize) -> impl Iterator<Item = TenancyId> {
        self.order.iter().copied().filter(move |tenancy| self.has(*tenancy, mapping))
    }

    /// Whether a tenancy has news in a mapping.
    pub fn has(&self, tenancy: TenancyId, mapping: usize) -> bool {
        self.wanted.get(&tenancy).is_some_and(|wanted| wanted.contains(&mapping))
    }

    /// Whether any of this is what a message asks for.
    pub fn touches(&self, batch: &TenantBatch, routes: &Routes) -> bool {
        batch
            .tenants
            .iter()
            .any(|news| routes.places(&news.mappings).iter().any(|place| self.has(news.tenancy, *place)))
    }

    /// The message that says all of this. All mappings are said by naming none.
    pub fn to_batch(&self, routes: &Routes) -> TenantBatch {
        let said = |tenancy: &TenancyId| {
            let wanted = &self.wanted[tenancy];
            let all = wanted.len() == routes.len();
            let mappings =
                if all { Vec::new() } else { wanted.iter().map(|place| routes.name(*place).clone()).collect() };
            TenantNews { tenancy: *tenancy, mappings, sequence: self.numbered(*tenancy) }
        };
        self.order.iter().map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::test_routes;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn tenancy(number: u128) -> TenancyId {
        TenancyId::new(Uuid::from_u128(number))
    }

    fn said(number: u128, mappings: &[&str]) -> TenantNews {
        let mappings = mappings.iter().map(|name| name.parse().unwrap()).collect();
        TenantNews { tenancy: tenancy(number), mappings, sequence: SequenceId::BASE }
    }

    #[test]
    fn messages_merge_to_one_set_of_mappings_a_tenancy_in_the_order_of_arrival() {
        let routes = test_routes();
        let mut news = News::default();
        news.add_batch(&[said(2, &["teams"]), said(1, &["users"])].into_iter().collect(), &routes);
        news.add_batch(&[said(2, &["users", "not_ours"]), said(3, &["not_ours"])].into_iter().collect(), &routes);
        assert_eq!(news.tenancies(), [tenancy(2), tenancy(1)]);
        let users = routes.places(&["users".parse().unwrap()])[0];
        assert_eq!(news.of_mapping(users).collect::<Vec<_>>(), [tenancy(2), tenancy(1)]);
        assert_eq!(news.mappings().len(), 2);
        assert!(news.touches(&[said(1, &[])].into_iter().collect(), &routes));
        assert!(!news.touches(&[said(1, &["teams"]), said(9, &[])].into_iter().collect(), &routes));
    }

    #[test]
    fn what_is_not_kept_is_gone_and_so_is_a_tenancy_without_mappings() {
        let mut news = News::default();
        news.add(tenancy(1), [0, 1]);
        news.add(tenancy(2), [1]);
        news.add(tenancy(3), [0]);
        news.retain(|id, mapping| mapping == 0 && id != tenancy(3));
        let mut left = News::default();
        left.add(tenancy(1), [0]);
        assert_eq!(news, left);
    }

    #[test]
    fn no_names_mean_every_mapping_in_both_directions() {
        let routes = test_routes();
        let mut news = News::default();
        let batch: TenantBatch = [said(1, &[])].into_iter().collect();
        news.add_batch(&batch, &routes);
        assert_eq!(news.mappings().len(), routes.len());
        assert_eq!(news.to_batch(&routes), batch);
    }

    #[test]
    fn news_that_a_replica_has_not_replayed_are_told_from_the_others() {
        let routes = test_routes();
        let numbered =
            |number, sequence| TenantNews { sequence: SequenceId::new(sequence), ..said(number, &["users"]) };
        let mut news = News::default();
        news.add_batch(
            &[numbered(1, 7), numbered(2, 9), said(3, &["users"]), numbered(1, 5)].into_iter().collect(),
            &routes,
        );
        assert_eq!(
            (news.numbered(tenancy(1)).get(), news.numbered(tenancy(3))),
            (7, SequenceId::BASE),
            "the highest counts"
        );
        let ahead = news.above(SequenceId::new(8));
        assert_eq!((ahead.tenancies(), ahead.furthest().get()), (&[tenancy(2)][..], 9));
        let again: News = {
            let mut again = News::default();
            again.add_batch(&ahead.to_batch(&routes), &routes);
            again
        };
        assert_eq!(again, ahead, "it is announced again with its number");
        assert!(again.above(SequenceId::new(9)).is_empty());
        news.raise_all(SequenceId::new(8));
        assert_eq!(news.above(SequenceId::new(7)), news);
        news.raise(tenancy(77), SequenceId::new(1000));
        assert_eq!(news.len(), 3, "nobody is added by a number");
    }

    proptest! {
        #[test]
        fn merging_keeps_everything_and_says_it_once(
            first in prop::collection::vec((0..20_u128, prop::collection::vec(0..12_usize, 0..4)), 0..30),
            second in prop::collection::vec((0..20_u128, prop::collection::vec(0..12_usize, 0..4)), 0..30),
        ) {
            let routes = test_routes();
            let gather = |items: &[(u128, Vec<usize>)]| {
                let mut news = News::default();
                items.iter().for_each(|(number, mappings)| news.add(tenancy(*number), mappings.iter().copied()));
                news
            };
            let mut merged = gather(&first);
            merged.merge(&gather(&second));
            for (number, mappings) in first.iter().chain(&second) {
                prop_assert!(mappings.iter().all(|mapping| merged.has(tenancy(*number), *mapping)));
            }
            let distinct: BTreeSet<_> = merged.tenancies().iter().collect();
            prop_assert_eq!(distinct.len(), merged.len());
            let mut again = News::default();
            again.add_batch(&merged.to_batch(&routes), &routes);
            prop_assert_eq!(again, merged);
        }
    }
}
