//! Judging one key while everything around it moves: a model of source, sequencer, worker and destination, interleaved at
//! random with looks. A sync that does its work is never called wrong; what is wrong is never called settled.

use lockstep_core::{SequenceId, TenancyId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const TENANCY: TenancyId = TenancyId::new(Uuid::nil());

/// What a row exports: its own value and a joined one.
type Content = (u32, u32);

#[derive(Clone, Copy, Debug)]
struct Living {
    own: u32,
    sequence: Option<i64>,
    flagged: bool,
}

#[derive(Clone, Copy, Debug)]
struct Tombstone {
    sequence: Option<i64>,
    flagged: bool,
}

/// The source. Every method is one transaction.
#[derive(Clone, Debug)]
struct Source {
    row: Option<Living>,
    tombstones: Vec<Tombstone>,
    joined: u32,
    touched: bool,
    base_shipped: bool,
    sequence: i64,
    writes: u32,
}

impl Source {
    fn content(&self, row: Living) -> Content {
        (row.own, self.joined)
    }

    fn write(&mut self) {
        self.writes += 1;
        let sequence = self.row.and_then(|row| row.sequence);
        self.row = Some(Living { own: self.writes, sequence, flagged: true });
    }

    fn delete(&mut self) {
        if self.row.take().is_some() {
            self.tombstones.push(Tombstone { sequence: None, flagged: true });
        }
    }

    fn change_joined(&mut self) {
        self.writes += 1;
        self.joined = self.writes;
        self.touched = true;
    }

    fn stamp_row(&mut self) {
        if let Some(row) = self.row.as_mut().filter(|row| row.flagged) {
            self.sequence += 1;
            (row.sequence, row.flagged) = (Some(self.sequence), false);
        }
    }

    fn stamp_touched(&mut self) {
        if self.touched {
            self.touched = false;
            if let Some(row) = self.row.as_mut() {
                self.sequence += 1;
                (row.sequence, row.flagged) = (Some(self.sequence), false);
            }
        }
    }

    fn stamp_tombstones(&mut self) {
        for tombstone in self.tombstones.iter_mut().filter(|tombstone| tombstone.flagged) {
            self.sequence += 1;
            *tombstone = Tombstone { sequence: Some(self.sequence), flagged: false };
        }
    }
}

/// Keeps the highest version of the key; of two alike, the one that came last.
#[derive(Clone, Default, Debug)]
struct Destination {
    version: i64,
    held: Option<Content>,
    cursor: i64,
}

impl Destination {
    fn put(&mut self, (version, content): (i64, Option<Content>)) {
        if version >= self.version {
            (self.version, self.held) = (version, content);
        }
    }
}

/// Rows with their sequences, and the number up to which the read covers everything.
type Page = (Vec<(i64, Option<Content>)>, i64);

/// Reads a page, writes it, moves the cursor: three steps with anything in between.
#[derive(Clone, Default, Debug)]
struct Worker {
    page: Option<Page>,
    written: bool,
}

impl Worker {
    fn step(&mut self, source: &Source, destination: &mut Destination) {
        match self.page.take() {
            None => self.page = Some(read(source, destination.cursor)),
            Some((rows, up_to)) if !self.written => {
                rows.iter().for_each(|row| destination.put(*row));
                self.written = true;
                self.page = Some((rows, up_to));
            }
            Some((_, up_to)) => {
                destination.cursor = destination.cursor.max(up_to);
                self.written = false;
            }
        }
    }
}

/// DEL-1: a tombstone whose key lives is left out. A flagged row is shipped under the number that it has.
fn read(source: &Source, after: i64) -> (Vec<(i64, Option<Content>)>, i64) {
    let mut rows = Vec::new();
    match source.row {
        Some(row) => rows.extend(row.sequence.map(|sequence| (sequence, Some(source.content(row))))),
        None => rows.extend(source.tombstones.iter().filter_map(|dead| Some((dead.sequence?, None)))),
    }
    rows.retain(|(sequence, _)| *sequence > after);
    // Another row of the tenancy may have the last number: the cursor moves to it all the same.
    (rows, source.sequence)
}

/// The base snapshot: reads what was never stamped nor flagged, writes it as version 0, says that it has ended.
#[derive(Clone, Default, Debug)]
struct BaseSnapshot {
    page: Option<Option<Content>>,
    written: bool,
}

impl BaseSnapshot {
    fn step(&mut self, source: &mut Source, destination: &mut Destination) {
        match self.page {
            None => {
                let base = source.row.filter(|row| row.sequence.is_none() && !row.flagged);
                self.page = Some(base.map(|row| source.content(row)));
            }
            Some(content) if !self.written => {
                if let Some(content) = content {
                    destination.put((0, Some(content)));
                }
                self.written = true;
            }
            Some(_) => source.base_shipped = true,
        }
    }
}

/// The steps of a look, with anything in between.
#[derive(Clone, Debug)]
enum Looking {
    Cursor,
    Source { cursor: i64 },
    Destination { cursor: i64, snapshot: Box<Source> },
}

#[derive(Clone, Debug)]
struct World {
    source: Source,
    destination: Destination,
    workers: [Worker; 2],
    base: BaseSnapshot,
    looking: Looking,
    first_cursor: Option<i64>,
    judgement: Option<Judgement>,
}

impl World {
    /// A row of the base, or nothing.
    fn new(base: bool) -> Self {
        let row = base.then_some(Living { own: 0, sequence: None, flagged: false });
        let source = Source {
            row,
            tombstones: Vec::new(),
            joined: 0,
            touched: false,
            base_shipped: false,
            sequence: 0,
            writes: 0,
        };
        Self {
            source,
            destination: Destination::default(),
            workers: Default::default(),
            base: BaseSnapshot::default(),
            looking: Looking::Cursor,
            first_cursor: None,
            judgement: None,
        }
    }

    fn step(&mut self, what: u8) {
        let Self { source, destination, .. } = self;
        match what {
            0 => source.write(),
            1 => source.delete(),
            2 => source.change_joined(),
            3 => source.stamp_row(),
            4 => source.stamp_touched(),
            5 => source.stamp_tombstones(),
            6 | 7 => self.workers[usize::from(what - 6)].step(source, destination),
            8 => self.base.step(source, destination),
            // A change that goes all the way: what two looks have to see through needs several in a row.
            9 => self.arrive(0),
            10 => self.arrive(1),
            11 => self.arrive(2),
            _ => self.look(),
        }
    }

    fn arrive(&mut self, change: u8) {
        for step in [change, 3, 4, 5, 6, 6, 6, 6, 6, 6] {
            self.step(step);
        }
    }

    fn look(&mut self) {
        self.looking = match std::mem::replace(&mut self.looking, Looking::Cursor) {
            Looking::Cursor => {
                let cursor = self.destination.cursor;
                self.first_cursor.get_or_insert(cursor);
                Looking::Source { cursor }
            }
            Looking::Source { cursor } => Looking::Destination { cursor, snapshot: Box::new(self.source.clone()) },
            Looking::Destination { cursor, snapshot } => {
                let look = seen(&snapshot, self.destination.held, cursor, self.first_cursor.unwrap());
                self.judgement = Some(judge(&look, self.judgement.as_ref()));
                Looking::Cursor
            }
        };
    }

    /// Nothing changes any more, everything is stamped and shipped.
    fn come_to_rest(&mut self) {
        for _ in 0..3 {
            self.step(3);
            self.step(4);
            self.step(5);
            (0..4).for_each(|_| self.step(8));
            (0..6).for_each(|_| self.step(6));
            (0..6).for_each(|_| self.step(7));
        }
    }
}

fn seen(source: &Source, held: Option<Content>, cursor: i64, first_cursor: i64) -> Look {
    let kind = match (source.row.map(|row| source.content(row)), held) {
        (one, other) if one == other => None,
        (Some(_), None) => Some(Kind::Missing),
        (None, _) => Some(Kind::Unexpected),
        (Some(_), Some(_)) => Some(Kind::Different),
    };
    let living = source.row.map(|row| super::Living {
        tenancy: TENANCY,
        sequence: row.sequence.map(SequenceId::new),
        waiting: row.flagged || source.touched,
        cursor: SequenceId::new(cursor),
    });
    let told = |dead: &&Tombstone| dead.flagged || dead.sequence.is_some_and(|sequence| sequence > first_cursor);
    let claims = source.tombstones.iter().filter(told).map(|dead| Claim {
        tenancy: TENANCY,
        gone: false,
        sequence: dead.sequence.map(SequenceId::new),
        waiting: dead.flagged,
        cursor: SequenceId::new(cursor),
    });
    let claims = if living.is_some() { Vec::new() } else { claims.collect() };
    Look { kind, living: living.into_iter().collect(), claims, base_shipped: source.base_shipped }
}

/// Half of the steps are looks: each takes three of them.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..24_u8, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn ver_1_what_is_merely_in_flight_is_never_called_real(base in any::<bool>(), steps in steps()) {
        let mut world = World::new(base);
        for step in steps {
            world.step(step);
            prop_assert_ne!(&world.judgement, &Some(Judgement::Real), "{:?}", world);
        }
        world.come_to_rest();
        world.looking = Looking::Cursor;
        (0..3).for_each(|_| world.look());
        prop_assert_eq!(&world.judgement, &Some(Judgement::Settled), "{:?}", world);
    }

    #[test]
    fn ver_1_what_is_wrong_is_called_real_by_the_second_look(base in any::<bool>(), steps in steps(), lost in any::<bool>()) {
        let mut world = World::new(base);
        steps.into_iter().for_each(|step| world.step(step));
        world.come_to_rest();
        let right = world.destination.held;
        world.destination.held = if lost && right.is_some() { None } else { Some((u32::MAX, 0)) };
        (world.looking, world.judgement) = (Looking::Cursor, None);
        (0..3).for_each(|_| world.look());
        prop_assert!(matches!(world.judgement, Some(Judgement::Owed(_))), "{:?}", world);
        (0..3).for_each(|_| world.look());
        prop_assert_eq!(&world.judgement, &Some(Judgement::Real), "{:?}", world);
    }
}

fn unexpected(claims: Vec<Claim>) -> Look {
    Look { kind: Some(Kind::Unexpected), living: Vec::new(), claims, base_shipped: true }
}

const GONE: Claim = Claim { tenancy: TENANCY, gone: true, sequence: None, waiting: false, cursor: SequenceId::new(5) };

#[test]
fn ver_1_a_tenancy_that_is_gone_is_in_flight_while_that_is_to_be_announced() {
    let announced = Claim { waiting: true, ..GONE };
    assert_eq!(judge(&unexpected(vec![announced]), None), Judgement::InFlight(Why::TenantGone));
    assert_eq!(judge(&unexpected(vec![GONE]), None), Judgement::Orphan);
    // No cursor of a tenancy that is gone moves any more.
    let stamped = Claim { sequence: Some(SequenceId::new(9)), ..GONE };
    assert_eq!(judge(&unexpected(vec![stamped]), None), Judgement::Orphan);
}

#[test]
fn ver_1_a_tenancy_that_moved_leaves_its_rows_behind_until_the_cursor_passes_them() {
    let moved = |sequence| Claim { gone: false, sequence: Some(SequenceId::new(sequence)), ..GONE };
    assert_eq!(judge(&unexpected(vec![moved(6)]), None), Judgement::InFlight(Why::AboveCursor));
    let owed = judge(&unexpected(vec![moved(5)]), None);
    assert!(matches!(owed, Judgement::Owed(_)));
    assert_eq!(judge(&unexpected(vec![moved(5)]), Some(&owed)), Judgement::Real);
}

#[test]
fn ver_1_a_row_that_nobody_ever_had_is_real() {
    let owed = judge(&unexpected(Vec::new()), None);
    assert_eq!(judge(&unexpected(Vec::new()), Some(&owed)), Judgement::Real);
}
