//! Judging one key while everything around it moves: a model of source, sequencer, workers, fill and destination, interleaved
//! at random with looks. A sync that does its work is never called wrong; what is wrong is never called settled.

use lockstep_core::{SequenceId, TenancyId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// They share a place; the second may be elsewhere.
const TENANCIES: [TenancyId; 2] = [TenancyId::new(Uuid::from_u128(1)), TenancyId::new(Uuid::from_u128(2))];

/// What a row exports: its own value and a joined one.
type Content = (u32, u32);

/// What the source has of one tenancy and the key.
#[derive(Clone, Copy, Default, Debug)]
struct Of {
    row: Option<u32>,
    is_elsewhere: bool,
    /// A line of the key waits in the inbox.
    line: bool,
    /// A line waits that stands for rows to be searched.
    search: bool,
    /// The search has been numbered, and waits.
    expansion: bool,
    /// The last change of the key.
    change: Option<i64>,
}

/// The source. Every method is one transaction.
#[derive(Clone, Default, Debug)]
struct Source {
    of: [Of; 2],
    joined: u32,
    filled: bool,
    /// The last number of changes and floors.
    sequence: i64,
    writes: u32,
}

impl Source {
    /// What the place should show.
    fn shown(&self) -> Option<Content> {
        self.of.iter().filter(|of| !of.is_elsewhere).find_map(|of| of.row).map(|own| (own, self.joined))
    }

    fn next(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    /// Two rows of one key at one place are never right: a destination holds one.
    fn is_free_for(&self, tenancy: usize) -> bool {
        let other = &self.of[1 - tenancy];
        other.row.is_none() || other.is_elsewhere
    }

    fn write(&mut self, tenancy: usize) {
        if self.of[tenancy].is_elsewhere || self.is_free_for(tenancy) {
            self.writes += 1;
            self.of[tenancy].row = Some(self.writes);
            self.of[tenancy].line = true;
        }
    }

    fn delete(&mut self, tenancy: usize) {
        self.of[tenancy].line |= self.of[tenancy].row.take().is_some();
    }

    fn change_joined(&mut self) {
        self.writes += 1;
        self.joined = self.writes;
        self.of.iter_mut().for_each(|of| of.search = true);
    }

    fn move_second(&mut self) {
        if !self.of[1].is_elsewhere || self.of[1].row.is_none() || self.is_free_for(1) {
            self.of[1].is_elsewhere = !self.of[1].is_elsewhere;
            self.of[1].search = true;
        }
    }

    fn pass(&mut self) {
        for tenancy in 0..2 {
            if std::mem::take(&mut self.of[tenancy].line) {
                self.of[tenancy].change = Some(self.next());
            }
            self.of[tenancy].expansion |= std::mem::take(&mut self.of[tenancy].search);
        }
    }

    fn expand(&mut self) {
        for of in &mut self.of {
            of.line |= std::mem::take(&mut of.expansion) && of.row.is_some();
        }
    }
}

/// A row or a tombstone, with its version.
type Versioned = (i64, Option<Content>);

/// Keeps the highest version of the key; of two alike, the one that came last.
#[derive(Clone, Default, Debug)]
struct Destination {
    held: Versioned,
    cursors: [i64; 2],
}

impl Destination {
    fn put(&mut self, row: Versioned) {
        if row.0 >= self.held.0 {
            self.held = row;
        }
    }
}

/// What a worker has read of one tenancy: its rows, and the number up to which they are everything.
#[derive(Clone, Debug)]
struct Page {
    tenancy: usize,
    rows: Vec<Versioned>,
    up_to: i64,
    written: bool,
}

/// Reads a page, writes it, moves the cursor: three steps with anything in between, for one tenancy after the other.
#[derive(Clone, Default, Debug)]
struct Worker {
    turn: usize,
    page: Option<Page>,
}

impl Worker {
    fn step(&mut self, source: &Source, destination: &mut Destination) {
        match &mut self.page {
            None => {
                let tenancy = self.turn;
                let above = source.of[tenancy].change.filter(|sequence| *sequence > destination.cursors[tenancy]);
                let rows = above.map(|sequence| (sequence, source.shown())).into_iter().collect();
                // Another row of the tenancy may have the last number: the cursor moves to it all the same.
                self.page = Some(Page { tenancy, rows, up_to: source.sequence, written: false });
            }
            Some(page) if !page.written => {
                page.rows.iter().for_each(|row| destination.put(*row));
                page.written = true;
            }
            Some(page) => {
                destination.cursors[page.tenancy] = destination.cursors[page.tenancy].max(page.up_to);
                self.turn = 1 - page.tenancy;
                self.page = None;
            }
        }
    }
}

/// Draws its number, reads the row, writes it, says that it has ended; then another fill begins.
#[derive(Clone, Copy, Default, Debug)]
enum Fill {
    #[default]
    Due,
    Begun(i64),
    Read(Versioned),
    Written,
    Ended,
}

impl Fill {
    fn step(&mut self, source: &mut Source, destination: &mut Destination) {
        *self = match *self {
            Self::Due => {
                source.filled = false;
                Self::Begun(source.next())
            }
            Self::Begun(floor) => Self::Read((floor, source.shown())),
            Self::Read(row) => {
                // A row that is not there is no row of a fill.
                if row.1.is_some() {
                    destination.put(row);
                }
                Self::Written
            }
            Self::Written => {
                source.filled = true;
                Self::Ended
            }
            Self::Ended => Self::Due,
        };
    }
}

/// The steps of a look, with anything in between.
#[derive(Clone, Debug)]
enum Looking {
    Cursors,
    Source { cursors: [i64; 2] },
    Destination { cursors: [i64; 2], snapshot: Box<Source> },
}

#[derive(Clone, Debug)]
struct World {
    source: Source,
    destination: Destination,
    workers: [Worker; 2],
    fill: Fill,
    looking: Looking,
    first_cursors: Option<[i64; 2]>,
    judgement: Option<Judgement>,
}

impl World {
    /// A row that was there before capture, or nothing.
    fn new(base: bool) -> Self {
        let mut source = Source::default();
        source.of[0].row = base.then_some(0);
        Self {
            source,
            destination: Destination::default(),
            workers: Default::default(),
            fill: Fill::Due,
            looking: Looking::Cursors,
            first_cursors: None,
            judgement: None,
        }
    }

    fn step(&mut self, what: u8) {
        let Self { source, destination, .. } = self;
        match what {
            0 | 1 => source.write(usize::from(what)),
            2 | 3 => source.delete(usize::from(what - 2)),
            4 => source.change_joined(),
            5 => source.move_second(),
            6 => source.pass(),
            7 => source.expand(),
            8 | 9 => self.workers[usize::from(what - 8)].step(source, destination),
            10 => self.fill.step(source, destination),
            // A change that goes all the way: what two looks have to see through needs several in a row.
            11..=16 => self.arrive(what - 11),
            _ => self.look(),
        }
    }

    fn arrive(&mut self, change: u8) {
        for step in [change, 6, 7, 6].into_iter().chain([8; 9]) {
            self.step(step);
        }
    }

    fn look(&mut self) {
        self.looking = match std::mem::replace(&mut self.looking, Looking::Cursors) {
            Looking::Cursors => {
                let cursors = self.destination.cursors;
                self.first_cursors.get_or_insert(cursors);
                Looking::Source { cursors }
            }
            Looking::Source { cursors } => Looking::Destination { cursors, snapshot: Box::new(self.source.clone()) },
            Looking::Destination { cursors, snapshot } => {
                let look = seen(&snapshot, self.destination.held.1, cursors, self.first_cursors.unwrap());
                self.judgement = Some(judge(&look, self.judgement.as_ref()));
                Looking::Cursors
            }
        };
    }

    /// Nothing changes any more, everything is numbered and shipped, and no fill is under way.
    fn come_to_rest(&mut self) {
        while !matches!(self.fill, Fill::Ended) {
            self.step(10);
        }
        for step in [6, 7, 6].into_iter().chain([8; 12]).chain([9; 12]) {
            self.step(step);
        }
    }
}

fn seen(source: &Source, held: Option<Content>, cursors: [i64; 2], first_cursors: [i64; 2]) -> Look {
    let kind = match (source.shown(), held) {
        (one, other) if one == other => None,
        (Some(_), None) => Some(Kind::Missing),
        (None, _) => Some(Kind::Unexpected),
        (Some(_), Some(_)) => Some(Kind::Different),
    };
    let claim = |index: usize| {
        let of = source.of[index];
        Claim {
            tenancy: TENANCIES[index],
            gone: false,
            sequence: of.change.filter(|sequence| *sequence > first_cursors[index]).map(SequenceId::new),
            waiting: of.line || of.search || of.expansion,
            cursor: SequenceId::new(cursors[index]),
        }
    };
    Look { kind, claims: [0, 1].map(claim).to_vec(), filled: source.filled }
}

/// Half of the steps are looks: each takes three of them.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..34_u8, 0..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn ver_1_what_is_merely_in_flight_is_never_called_real(base in any::<bool>(), steps in steps()) {
        let mut world = World::new(base);
        for step in steps {
            world.step(step);
            prop_assert_ne!(&world.judgement, &Some(Judgement::Real), "{:?}", world);
        }
        world.come_to_rest();
        world.looking = Looking::Cursors;
        (0..3).for_each(|_| world.look());
        prop_assert_eq!(&world.judgement, &Some(Judgement::Settled), "{:?}", world);
    }

    #[test]
    fn ver_1_what_is_wrong_is_called_real_by_the_second_look(base in any::<bool>(), steps in steps(), lost in any::<bool>()) {
        let mut world = World::new(base);
        steps.into_iter().for_each(|step| world.step(step));
        world.come_to_rest();
        let right = world.destination.held.1;
        world.destination.held.1 = if lost && right.is_some() { None } else { Some((u32::MAX, 0)) };
        (world.looking, world.judgement) = (Looking::Cursors, None);
        (0..3).for_each(|_| world.look());
        prop_assert!(matches!(world.judgement, Some(Judgement::Owed(_))), "{:?}", world);
        (0..3).for_each(|_| world.look());
        prop_assert_eq!(&world.judgement, &Some(Judgement::Real), "{:?}", world);
    }
}

fn unexpected(claims: Vec<Claim>) -> Look {
    Look { kind: Some(Kind::Unexpected), claims, filled: true }
}

const QUIET: Claim =
    Claim { tenancy: TENANCIES[0], gone: false, sequence: None, waiting: false, cursor: SequenceId::new(5) };

fn numbered(sequence: i64) -> Claim {
    Claim { sequence: Some(SequenceId::new(sequence)), ..QUIET }
}

/// Owed in one look, real in the next.
fn assert_real(look: &Look) {
    let owed = judge(look, None);
    assert!(matches!(owed, Judgement::Owed(_)), "{owed:?}");
    assert_eq!(judge(look, Some(&owed)), Judgement::Real);
}

#[test]
fn ver_1_a_tenancy_that_is_gone_is_in_flight_until_its_erasure_is_overdue() {
    let gone = Claim { gone: true, ..QUIET };
    assert_eq!(judge(&unexpected(vec![Claim { waiting: true, ..gone }]), None), Judgement::InFlight(Why::TenantGone));
    assert_real(&unexpected(vec![gone]));
    // No cursor of a tenancy that is being erased moves any more.
    assert_real(&unexpected(vec![Claim { gone: true, ..numbered(9) }]));
    // Whoever lives at the place may still change the key.
    let neighbour = Claim { tenancy: TENANCIES[1], ..numbered(9) };
    assert_eq!(judge(&unexpected(vec![gone, neighbour]), None), Judgement::InFlight(Why::AboveCursor));
}

#[test]
fn ver_1_a_tenancy_that_moved_leaves_its_rows_behind_until_the_cursor_passes_them() {
    assert_eq!(judge(&unexpected(vec![numbered(6)]), None), Judgement::InFlight(Why::AboveCursor));
    assert_real(&unexpected(vec![numbered(5)]));
}

#[test]
fn ver_1_a_row_without_any_change_is_owed_when_the_fill_has_ended() {
    // Whoever has it, or nobody ever had it.
    for claims in [vec![QUIET], Vec::new()] {
        let filling = Look { filled: false, ..unexpected(claims.clone()) };
        assert_eq!(judge(&filling, None), Judgement::InFlight(Why::Filling));
        assert_real(&unexpected(claims));
    }
}

#[test]
fn ver_1_a_change_or_a_tenancy_between_two_looks_asks_for_a_third() {
    let owed = judge(&unexpected(vec![numbered(4)]), None);
    let neighbour = Claim { tenancy: TENANCIES[1], ..QUIET };
    for look in [vec![numbered(5)], vec![numbered(4), neighbour]] {
        let again = judge(&unexpected(look.clone()), Some(&owed));
        assert!(matches!(again, Judgement::Owed(_)), "{again:?}");
        assert_eq!(judge(&unexpected(look), Some(&again)), Judgement::Real);
    }
}
