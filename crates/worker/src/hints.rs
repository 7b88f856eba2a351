//! Which tenancies may have changes in which mappings: what messages say, merged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lockstep_core::freshness::ChangeTimes;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_queue::{TenantBatch, TenantHint};

use crate::mappings::{MappingIndex, Mappings};

/// Tenancies in the order in which they were first named, each with the mappings that may have changes. The order is what
/// makes pages of huge tenants take turns with others (FAIR-1).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Hints {
    order: Vec<TenancyId>,
    hints: HashMap<TenancyId, Hint>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Hint {
    /// With the last change that was announced before, where that is known.
    mappings: BTreeMap<MappingIndex, Option<SequenceId>>,
    /// The last change that is known of, [`SequenceId::BASE`] where none is: a replica may not have replayed as far.
    up_to: SequenceId,
    /// Of the first change that is not known to have arrived.
    times: ChangeTimes,
}

impl Hints {
    /// Adds mappings of a tenancy, with changes up to this number as far as is known. Nothing is added without mappings.
    pub fn add(&mut self, tenancy: TenancyId, mappings: impl IntoIterator<Item = MappingIndex>, up_to: SequenceId) {
        mappings.into_iter().for_each(|mapping| self.add_pair(tenancy, mapping, None, up_to));
    }

    fn add_pair(&mut self, tenancy: TenancyId, mapping: MappingIndex, previous: Option<SequenceId>, up_to: SequenceId) {
        let order = &mut self.order;
        let hint = self.hints.entry(tenancy).or_insert_with(|| {
            order.push(tenancy);
            Hint::default()
        });
        hint.up_to = hint.up_to.max(up_to);
        // What is unknown in one message stays unknown; of two that tell, the earlier was announced first.
        hint.mappings.entry(mapping).and_modify(|known| *known = (*known).min(previous)).or_insert(previous);
    }

    /// Adds what a message says. Names that are not among `mappings` are passed over: a newer sequencer, or one with more
    /// definitions, knows mappings that this worker does not ship.
    pub fn add_batch(&mut self, batch: &TenantBatch, mappings: &Mappings) {
        for TenantHint { tenancy, mappings: names, sequence, previous, times } in &batch.tenants {
            if previous.is_empty() {
                self.add(*tenancy, mappings.named(names), *sequence);
            }
            for (name, previous) in names.iter().zip(previous) {
                let Some(mapping) = mappings.index(name) else { continue };
                self.add_pair(*tenancy, mapping, Some(*previous), *sequence);
            }
            self.note_times(*tenancy, *times);
        }
    }

    /// Adds all of `other`, after what is here.
    pub fn merge(&mut self, other: &Self) {
        for tenancy in &other.order {
            let hint = &other.hints[tenancy];
            for (mapping, previous) in &hint.mappings {
                self.add_pair(*tenancy, *mapping, *previous, hint.up_to);
            }
            self.note_times(*tenancy, hint.times);
        }
    }

    /// Takes note of when changes of a tenancy were made, if it is among these.
    pub(crate) fn note_times(&mut self, tenancy: TenancyId, times: ChangeTimes) {
        if let Some(hint) = self.hints.get_mut(&tenancy) {
            hint.times = hint.times.earliest(times);
        }
    }

    /// When the first of a tenancy's changes was made, as far as is known.
    pub(crate) fn times(&self, tenancy: TenancyId) -> ChangeTimes {
        self.hints.get(&tenancy).map(|hint| hint.times).unwrap_or_default()
    }

    /// Takes over when changes were made from `others`, of which these are a part that is left.
    pub(crate) fn note_times_of(&mut self, others: &Self) {
        for (tenancy, hint) in &mut self.hints {
            hint.times = hint.times.earliest(others.hints.get(tenancy).map(|other| other.times).unwrap_or_default());
        }
    }

    /// When changes were made, with how many tenancies have these times, of those of which nothing is among `left`.
    pub(crate) fn times_without(&self, left: &[&Self]) -> HashMap<ChangeTimes, usize> {
        let mut tenancies = HashMap::new();
        for (tenancy, hint) in &self.hints {
            if !left.iter().any(|left| left.hints.contains_key(tenancy)) {
                *tenancies.entry(hint.times).or_insert(0) += 1;
            }
        }
        tenancies
    }

    /// All pairs, with the last change of each that was announced before, where that is known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TenancyId, MappingIndex, Option<SequenceId>)> {
        self.order.iter().flat_map(|tenancy| {
            self.hints[tenancy].mappings.iter().map(|(mapping, previous)| (*tenancy, *mapping, *previous))
        })
    }

    /// The last change of a tenancy that is known of.
    pub(crate) fn up_to(&self, tenancy: TenancyId) -> SequenceId {
        self.hints.get(&tenancy).map_or(SequenceId::BASE, |hint| hint.up_to)
    }

    /// The last change of any that is known of.
    pub(crate) fn furthest(&self) -> SequenceId {
        self.hints.values().map(|hint| hint.up_to).max().unwrap_or_default()
    }

    /// Leaves only the pairs of a tenancy and a mapping for which `stays` says so.
    pub(crate) fn retain(&mut self, stays: impl Fn(TenancyId, MappingIndex) -> bool) {
        let hints = &mut self.hints;
        self.order.retain(|tenancy| {
            let Some(hint) = hints.get_mut(tenancy) else { return false };
            hint.mappings.retain(|mapping, _| stays(*tenancy, *mapping));
            if hint.mappings.is_empty() {
                hints.remove(tenancy);
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
        self.hints.values().map(|hint| hint.mappings.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The tenancies, in order.
    pub fn tenancies(&self) -> &[TenancyId] {
        &self.order
    }

    /// The mappings in which any tenancy may have changes.
    pub fn mappings(&self) -> BTreeSet<MappingIndex> {
        self.hints.values().flat_map(|hint| hint.mappings.keys()).copied().collect()
    }

    /// The tenancies that may have changes in one mapping, in order.
    pub fn of_mapping(&self, mapping: MappingIndex) -> impl Iterator<Item = TenancyId> {
        self.order.iter().copied().filter(move |tenancy| self.has(*tenancy, mapping))
    }

    /// Whether a tenancy may have changes in a mapping.
    pub fn has(&self, tenancy: TenancyId, mapping: MappingIndex) -> bool {
        self.hints.get(&tenancy).is_some_and(|hint| hint.mappings.contains_key(&mapping))
    }

    /// Whether any of this is what a message asks for.
    pub fn touches(&self, batch: &TenantBatch, mappings: &Mappings) -> bool {
        let mut tenants = batch.tenants.iter();
        tenants.any(|tenant| mappings.named(&tenant.mappings).iter().any(|index| self.has(tenant.tenancy, *index)))
    }

    /// The message that says all of this. All mappings are said by naming none.
    pub fn to_batch(&self, mappings: &Mappings) -> TenantBatch {
        let said = |tenancy: &TenancyId| {
            let Hint { mappings: hinted, up_to, times } = &self.hints[tenancy];
            let is_all = hinted.len() == mappings.all().count();
            let names = hinted.keys().filter(|_| !is_all).map(|index| mappings.name(*index).clone()).collect();
            TenantHint { tenancy: *tenancy, mappings: names, sequence: *up_to, previous: Vec::new(), times: *times }
        };
        self.order.iter().map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mappings::test_mappings;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn tenancy(number: u128) -> TenancyId {
        TenancyId::new(Uuid::from_u128(number))
    }

    fn said(number: u128, mappings: &[&str]) -> TenantHint {
        let mappings = mappings.iter().map(|name| name.parse().unwrap()).collect();
        let (previous, times) = (Vec::new(), ChangeTimes::default());
        TenantHint { tenancy: tenancy(number), mappings, sequence: SequenceId::BASE, previous, times }
    }

    #[test]
    fn messages_merge_to_one_set_of_mappings_a_tenancy_in_the_order_of_arrival() {
        let mappings = test_mappings();
        let mut hints = Hints::default();
        hints.add_batch(&[said(2, &["teams"]), said(1, &["users"])].into_iter().collect(), &mappings);
        hints.add_batch(&[said(2, &["users", "not_ours"]), said(3, &["not_ours"])].into_iter().collect(), &mappings);
        assert_eq!(hints.tenancies(), [tenancy(2), tenancy(1)]);
        let users = mappings.named(&["users".parse().unwrap()])[0];
        assert_eq!(hints.of_mapping(users).collect::<Vec<_>>(), [tenancy(2), tenancy(1)]);
        assert_eq!(hints.mappings().len(), 2);
        assert!(hints.touches(&[said(1, &[])].into_iter().collect(), &mappings));
        assert!(!hints.touches(&[said(1, &["teams"]), said(9, &[])].into_iter().collect(), &mappings));
    }

    #[test]
    fn what_is_not_retained_is_gone_and_so_is_a_tenancy_without_mappings() {
        let mut hints = Hints::default();
        let all: Vec<_> = test_mappings().all().collect();
        hints.add(tenancy(1), [all[0], all[1]], SequenceId::BASE);
        hints.add(tenancy(2), [all[1]], SequenceId::BASE);
        hints.add(tenancy(3), [all[0]], SequenceId::BASE);
        hints.retain(|id, mapping| mapping == all[0] && id != tenancy(3));
        let mut left = Hints::default();
        left.add(tenancy(1), [all[0]], SequenceId::BASE);
        assert_eq!(hints, left);
    }

    #[test]
    fn no_names_mean_every_mapping_in_both_directions() {
        let mappings = test_mappings();
        let mut hints = Hints::default();
        let batch: TenantBatch = [said(1, &[])].into_iter().collect();
        hints.add_batch(&batch, &mappings);
        assert_eq!(hints.mappings().len(), mappings.all().count());
        assert_eq!(hints.to_batch(&mappings), batch);
    }

    #[test]
    fn what_was_announced_before_is_the_earliest_that_is_told_and_unknown_where_one_does_not_tell() {
        let mappings = test_mappings();
        let users = mappings.named(&["users".parse().unwrap()])[0];
        let told = |previous: &[i64]| {
            let previous = previous.iter().copied().map(SequenceId::new).collect();
            TenantHint { previous, ..said(1, &["users"]) }
        };
        let merged = |messages: &[TenantHint]| {
            let mut hints = Hints::default();
            messages.iter().for_each(|hint| hints.add_batch(&[hint.clone()].into_iter().collect(), &mappings));
            hints.iter().collect::<Vec<_>>()
        };
        let previous = Some(SequenceId::new(5));
        assert_eq!(merged(&[told(&[7]), told(&[5])]), [(tenancy(1), users, previous)]);
        assert_eq!(merged(&[told(&[7]), told(&[])]), [(tenancy(1), users, None)]);
    }

    #[test]
    fn the_highest_number_of_a_tenancy_counts_and_is_announced_again() {
        let mappings = test_mappings();
        let numbered =
            |number, sequence| TenantHint { sequence: SequenceId::new(sequence), ..said(number, &["users"]) };
        let mut hints = Hints::default();
        let batch = [numbered(1, 7), numbered(2, 9), said(3, &["users"]), numbered(1, 5)];
        hints.add_batch(&batch.into_iter().collect(), &mappings);
        assert_eq!([1, 2, 3].map(|number| hints.up_to(tenancy(number)).get()), [7, 9, 0]);
        assert_eq!(hints.furthest().get(), 9);
        let mut again = Hints::default();
        again.add_batch(&hints.to_batch(&mappings), &mappings);
        assert_eq!(again, hints);
    }

    #[test]
    fn the_first_change_counts_and_one_of_which_something_is_left_does_not() {
        let mappings = test_mappings();
        let of = |stamped_at_micros| ChangeTimes { stamped_at_micros, committed_at_micros: 0 };
        let timed = |number, times| TenantHint { times, ..said(number, &["users", "teams"]) };
        let mut hints = Hints::default();
        let batch = [timed(1, of(7)), timed(2, of(9)), timed(1, of(8)), timed(3, of(7)), timed(4, of(0))];
        hints.add_batch(&batch.into_iter().collect(), &mappings);
        let mut left = Hints::default();
        left.add(tenancy(2), mappings.all().take(1), SequenceId::BASE);
        let expected = [(of(7), 2), (of(0), 1)].into_iter().collect();
        assert_eq!(hints.times_without(&[&left]), expected);
        left.note_times_of(&hints);
        assert_eq!(left.times_without(&[]), [(of(9), 1)].into_iter().collect());
        let mut again = Hints::default();
        again.add_batch(&left.to_batch(&mappings), &mappings);
        assert_eq!(again, left, "announced again with its times");
    }

    proptest! {
        #[test]
        fn merging_keeps_everything_and_says_it_once(
            first in prop::collection::vec((0..20_u128, prop::collection::vec(0..12_usize, 0..4)), 0..30),
            second in prop::collection::vec((0..20_u128, prop::collection::vec(0..12_usize, 0..4)), 0..30),
        ) {
            let mappings = test_mappings();
            let all: Vec<_> = mappings.all().collect();
            let of = |indices: &[usize]| indices.iter().map(|index| all[*index]).collect::<Vec<_>>();
            let gather = |items: &[(u128, Vec<usize>)]| {
                let mut hints = Hints::default();
                items.iter().for_each(|(number, indices)| hints.add(tenancy(*number), of(indices), SequenceId::BASE));
                hints
            };
            let mut merged = gather(&first);
            merged.merge(&gather(&second));
            for (number, indices) in first.iter().chain(&second) {
                prop_assert!(of(indices).iter().all(|mapping| merged.has(tenancy(*number), *mapping)));
            }
            let distinct: BTreeSet<_> = merged.tenancies().iter().collect();
            prop_assert_eq!(distinct.len(), merged.len());
            let mut again = Hints::default();
            again.add_batch(&merged.to_batch(&mappings), &mappings);
            prop_assert_eq!(again, merged);
        }
    }
}
