//! Whatever rows are refused, exactly those are set aside, and soon.

use std::sync::LazyLock;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::mappings::test_mappings;

const MOST: PageLimits = PageLimits { tenancy_rows: 1000, total_rows: 4000 };

fn tenancy(number: usize) -> TenancyId {
    TenancyId::new(Uuid::from_u128(number as u128))
}

fn mapping() -> MappingIndex {
    static FIRST: LazyLock<MappingIndex> = LazyLock::new(|| test_mappings().all().next().unwrap());
    *FIRST
}

/// A mapping in a source: for each tenancy whether its rows, in order, are good; and what became of them.
struct World {
    rows: Vec<Vec<bool>>,
    cursors: Vec<usize>,
    shipped: usize,
    set_aside: usize,
    refusals: usize,
    hopeless: usize,
    isolation: Isolation,
    /// Bad rows are such as the source cannot give; else such as the destination refuses.
    unreadable: bool,
}

impl World {
    fn new(rows: Vec<Vec<bool>>) -> Self {
        let (cursors, isolation) = (vec![0; rows.len()], Isolation::default());
        Self { rows, cursors, shipped: 0, set_aside: 0, refusals: 0, hopeless: 0, isolation, unreadable: false }
    }

    fn unreadable(rows: Vec<Vec<bool>>) -> Self {
        Self { unreadable: true, ..Self::new(rows) }
    }

    /// Whose row may be the one that stopped a read of so many rows of each tenancy, in this order.
    fn suspects(&self, taken: &[(usize, usize)]) -> PageContent {
        let good = |&(number, rows): &(usize, usize)| {
            self.rows[number][self.cursors[number]..][..rows].iter().take_while(|good| **good).count()
        };
        let at_fault = taken.iter().position(|of| good(of) < of.1).unwrap();
        // Those behind have not been read.
        let came = |(at, of): (usize, &(usize, usize))| if at == 0 { good(of) } else { 0 };
        let left = taken[at_fault..].iter().enumerate();
        left.map(|(at, of)| (tenancy(of.0), TenantRows::among(came((at, of)) as u64 + 1))).collect()
    }

    /// One flush of these tenancies; returns those that have more.
    fn flush(&mut self, announced: &[TenancyId]) -> Vec<TenancyId> {
        let (pages, mut more) = self.isolation.pages(mapping(), announced.iter().copied(), MOST);
        for plan in pages {
            more.extend(self.page(&plan));
        }
        more
    }

    fn page(&mut self, plan: &PagePlan) -> Vec<TenancyId> {
        let (mut content, mut continued) = (PageContent::new(), Vec::new());
        let mut streaks = self.isolation.streaks(plan.tenancies.iter().copied());
        let (mut room, mut good) = (plan.limits.total_rows as usize, true);
        let mut taken = Vec::new();
        for (position, tenancy) in plan.tenancies.iter().enumerate() {
            let number = usize::try_from(tenancy.as_uuid().as_u128()).unwrap();
            let left = &self.rows[number][self.cursors[number]..];
            let rows = left.len().min(plan.limits.tenancy_rows as usize).min(room);
            room -= rows;
            good &= left[..rows].iter().all(|good| *good);
            if rows > 0 {
                let last = SequenceId::new(i64::try_from(self.cursors[number] + rows).unwrap());
                content.insert(*tenancy, TenantRows { rows: rows as u64, sequences: [last].into() });
                streaks.accepted(position);
            }
            if room == 0 || rows == plan.limits.tenancy_rows as usize {
                continued.push(*tenancy);
            }
            taken.push((number, rows));
        }
        let rows: usize = taken.iter().map(|(_, rows)| rows).sum();
        if good {
            self.isolation.passed(&streaks, &content, &continued, MOST);
            taken.iter().for_each(|(number, rows)| self.cursors[*number] += rows);
            self.shipped += rows;
            return continued;
        }
        self.refusals += 1;
        if self.unreadable {
            content = self.suspects(&taken);
        }
        match self.isolation.refused(&content) {
            Refused::Narrowed => plan.tenancies.clone(),
            Refused::Found(of, _) if self.unreadable => {
                let number = usize::try_from(of.as_uuid().as_u128()).unwrap();
                assert!(!self.rows[number][self.cursors[number]] && rows == 1, "a healthy row is set aside");
                self.cursors[number] += 1;
                self.set_aside += 1;
                plan.tenancies.clone()
            }
            Refused::Found(of, sequences) => {
                assert_eq!((rows, sequences.len()), (1, 1), "a healthy row is set aside with it");
                assert!(content[&of].sequences == sequences);
                taken.iter().for_each(|(number, rows)| self.cursors[*number] += rows);
                self.set_aside += 1;
                continued
            }
            Refused::Hopeless => {
                self.hopeless += 1;
                Vec::new()
            }
        }
    }

    fn run(&mut self) -> usize {
        let mut announced: Vec<_> = (0..self.rows.len()).map(tenancy).collect();
        let mut flushes = 0;
        while !announced.is_empty() {
            announced = self.flush(&announced);
            flushes += 1;
            assert!(flushes < 10_000, "it does not end");
        }
        flushes
    }
}

#[test]
fn one_bad_row_among_many_is_found_by_halving() {
    let mut rows = vec![vec![true; 500]; 16];
    rows[11][321] = false;
    let mut world = World::new(rows);
    let flushes = world.run();
    assert_eq!((world.set_aside, world.shipped, world.hopeless), (1, 16 * 500 - 1, 0));
    // 4 halvings of tenancies, 9 of rows.
    assert!(world.refusals <= 15 && flushes <= 40, "{} refusals in {flushes} flushes", world.refusals);
    assert_eq!(world.isolation, Isolation::default(), "nobody is under suspicion afterwards");
}

#[test]
fn one_row_that_cannot_be_read_is_found_with_few_reads_that_fail() {
    let mut rows = vec![vec![true; 500]; 16];
    rows[11][321] = false;
    let mut world = World::unreadable(rows);
    let flushes = world.run();
    assert_eq!((world.set_aside, world.shipped, world.hopeless), (1, 16 * 500 - 1, 0));
    // What came before it tells how far to read: halves of that do not fail.
    assert!(world.refusals <= 6 && flushes <= 40, "{} reads failed in {flushes} flushes", world.refusals);
    assert_eq!(world.isolation, Isolation::default(), "nobody is under suspicion afterwards");
}

#[test]
fn fair_1_healthy_tenancies_are_not_read_in_small_pages() {
    let mut world = World::new(vec![vec![true; 10], vec![false; 50], vec![true; 10], vec![true; 10]]);
    let announced: Vec<_> = (0..4).map(tenancy).collect();
    let mut left = announced.clone();
    for _ in 0..3 {
        left = world.flush(&left);
    }
    assert_eq!(world.cursors, [10, 0, 10, 10], "all but the one at fault are through");
    assert!(!left.is_empty());
    let (pages, _) = world.isolation.pages(mapping(), announced.into_iter(), MOST);
    assert_eq!((pages[0].tenancies.len(), pages[0].limits), (3, MOST));
    assert_eq!(pages[1].tenancies, [tenancy(1)]);
}

#[test]
fn a_tenancy_with_too_many_bad_rows_is_given_up_and_goes_on_when_they_are_mended() {
    let rows = || vec![vec![false; 5000], vec![true; 700]];
    let mut unreadable = World::unreadable(rows());
    unreadable.run();
    assert_eq!((unreadable.set_aside, unreadable.shipped, unreadable.hopeless), (100, 700, 1));
    let mut world = World::new(rows());
    world.run();
    assert_eq!((world.set_aside, world.shipped, world.hopeless), (100, 700, 1));
    assert!(world.flush(&[tenancy(0)]).is_empty() && world.set_aside == 100, "no more of them");
    world.rows[0] = vec![true; 5000];
    world.run();
    assert_eq!((world.set_aside, world.shipped), (100, 700 + 4900));
    assert_eq!(world.isolation, Isolation::default());
}

#[test]
fn a_table_that_refuses_everything_is_given_up_for_all() {
    let mut world = World::new(vec![vec![false; 40]; 300]);
    world.run();
    assert_eq!(world.set_aside, 100);
    let everybody: Vec<_> = (0..300).map(tenancy).collect();
    world.flush(&everybody);
    assert_eq!(world.set_aside, 100, "no more of them");
}

#[test]
fn tombstones_at_former_locations_are_found_with_their_row() {
    let mut isolation = Isolation::default();
    let numbers: BTreeSet<_> = [3, 4, 5].map(SequenceId::new).into();
    let content = |rows| PageContent::from([(tenancy(1), TenantRows { rows, sequences: numbers.clone() })]);
    for _ in 0..2 {
        assert_eq!(isolation.refused(&content(3)), Refused::Narrowed);
        let (pages, _) = isolation.pages(mapping(), [tenancy(1)].into_iter(), MOST);
        assert_eq!(pages[0].limits.tenancy_rows, 1);
        assert_eq!(isolation.refused(&content(3)), Refused::Found(tenancy(1), numbers.clone()));
        isolation = Isolation::default();
    }
    assert_eq!(isolation.refused(&PageContent::new()), Refused::Hopeless);
}

proptest! {
    #[test]
    fn exactly_the_bad_rows_are_set_aside(
        rows in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.9), 0..60), 1..40),
    ) {
        let bad = rows.iter().flatten().filter(|good| !**good).count();
        let all = rows.iter().map(Vec::len).sum::<usize>();
        let same = rows.clone();
        let mut world = World::new(rows);
        world.run();
        prop_assert_eq!((world.set_aside, world.shipped, world.hopeless), (bad, all - bad, 0));
        // 2,400 rows at most: 12 halvings for each.
        prop_assert!(world.refusals <= bad * 12, "{} refusals for {bad} rows", world.refusals);
        let mut world = World::unreadable(same);
        world.run();
        prop_assert_eq!((world.set_aside, world.shipped, world.hopeless), (bad, all - bad, 0));
        prop_assert!(world.refusals <= bad * 12, "{} reads failed for {bad} rows", world.refusals);
    }
}
