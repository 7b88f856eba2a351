//! What the model remembers: the source, what each process is in the middle of, the queue, the destination.

use lockstep_mappings::postgres::fetch::PageLimits;

/// Keys of the one mapping.
pub(crate) const KEYS: usize = 2;
/// Tenancies that own them.
pub(crate) const TENANCIES: usize = 2;

/// A set of tenancies or keys: bit by bit.
pub(crate) type Set = u8;

pub(crate) fn has(set: Set, member: usize) -> bool {
    set & (1 << member) != 0
}

/// A row of the source, as committed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Row {
    pub(crate) content: u8,
    pub(crate) sequence: Option<u8>,
    pub(crate) flagged: bool,
}

/// A tombstone; one without a number is flagged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Tombstone {
    pub(crate) key: usize,
    pub(crate) sequence: Option<u8>,
}

/// What a snapshot of the source sees.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Source {
    pub(crate) rows: [Option<Row>; KEYS],
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) head: u8,
}

/// A writer of the application's: at which transaction of its script it is, and whether that is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Writer {
    pub(crate) at: usize,
    pub(crate) open: bool,
}

/// What a number was given to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Target {
    Row(usize),
    /// By its place.
    Tombstone(usize),
}

/// A sequencer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Sequencer {
    Idle,
    /// In a pass: lanes still to stamp, and what it has stamped, not committed yet.
    Pass {
        lanes: Vec<usize>,
        stamped: Vec<(Target, u8)>,
    },
    /// Without the protection of OUT-1: committed, the outbox not written yet.
    Owing(Set),
}

/// The announcer of whoever leads: entries of the outbox with their generations.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Announcer {
    Idle,
    Read([Option<u8>; TENANCIES]),
    Published([Option<u8>; TENANCIES]),
}

/// A row on its way, or in the destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Shipped {
    pub(crate) key: usize,
    pub(crate) version: u8,
    pub(crate) deleted: bool,
    pub(crate) content: u8,
}

/// What a worker knows before it has read its page. The parts come in any order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Opening {
    pub(crate) news: Set,
    pub(crate) cursors: Option<[u8; TENANCIES]>,
    pub(crate) snapshot: Option<Source>,
    /// Without the protection of DEL-1: keys that lived when the worker looked, which is before its snapshot.
    pub(crate) alive: Option<Set>,
    /// Without the protection of CUR-1: the head as it is after the snapshot.
    pub(crate) late_head: Option<u8>,
}

/// A page that is read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Page {
    pub(crate) news: Set,
    /// Still to be inserted.
    pub(crate) rows: Vec<Shipped>,
    /// Where cursors may go; empty once they are there.
    pub(crate) forward: Vec<(usize, u8)>,
    /// Tenancies with further pages, to be announced.
    pub(crate) continued: Set,
}

/// A worker with what it has in hand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Worker {
    Idle,
    Opening(Opening),
    Shipping(Page),
}

/// Who reads the base.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Base {
    Waiting,
    Read(Vec<Shipped>),
    Done,
}

/// The latest version of each key, and the cursors.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Destination {
    pub(crate) rows: [Option<Shipped>; KEYS],
    pub(crate) cursors: [u8; TENANCIES],
}

/// What may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Faults {
    /// Processes killed.
    pub(crate) kills: u8,
    /// Messages lost.
    pub(crate) losses: u8,
    /// Messages delivered twice.
    pub(crate) repeats: u8,
    /// Times that all cursors are forgotten.
    pub(crate) resyncs: u8,
}

/// Everything at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) source: Source,
    /// The next number, whoever takes it and whether it is used or not.
    pub(crate) next_sequence: u8,
    pub(crate) writers: Vec<Writer>,
    pub(crate) sequencers: Vec<Sequencer>,
    /// Generations by tenancy.
    pub(crate) outbox: [Option<u8>; TENANCIES],
    pub(crate) next_generation: u8,
    pub(crate) announcer: Announcer,
    /// Messages, each the tenancies that it names; in no order, so any order.
    pub(crate) queue: Vec<Set>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) bases: Vec<Base>,
    pub(crate) destination: Destination,
    pub(crate) faults: Faults,
    /// What was seen on the way and is gone from the rest.
    pub(crate) seen: Seen,
}

/// What happened that no later state shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Seen {
    /// The highest number that was committed.
    pub(crate) highest: u8,
    /// A number was committed that is not above all that were committed before (SEQ-1).
    pub(crate) out_of_order: bool,
    /// A cursor moved back (CUR-1).
    pub(crate) moved_back: bool,
    /// Nothing can happen any more, and yet not everything is done.
    pub(crate) stuck: bool,
}

/// How a key begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// Never there.
    Absent,
    /// Stamped, and shipped.
    Shipped,
    /// There before capture: no number, no flag, and not shipped.
    Base,
}

/// One write of the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    /// Inserts the key, or updates it where it is.
    Put(usize),
    /// Deletes the key, where it is.
    Delete(usize),
}

impl Write {
    pub(crate) fn key(self) -> usize {
        match self {
            Self::Put(key) | Self::Delete(key) => key,
        }
    }
}

/// What keeps the promises. A model without one of them has to break one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protections {
    /// SEQ-1: one stamping transaction at a time.
    pub(crate) ordering_lock: bool,
    /// DEL-1: tombstones whose key lives are left out.
    pub(crate) live_keys_left_out: bool,
    /// DEL-1: whether a key lives is seen by the snapshot that reads the tombstone.
    pub(crate) one_snapshot: bool,
    /// CUR-1: the insert is done before the cursor moves.
    pub(crate) insert_before_cursor: bool,
    /// CUR-1: a cursor goes as far as the snapshot saw, not as far as numbers are now.
    pub(crate) head_of_snapshot: bool,
    /// CUR-1: the highest cursor wins.
    pub(crate) highest_cursor: bool,
    /// IDEM-1: the highest version wins.
    pub(crate) highest_version: bool,
    /// OUT-1: the outbox is written by the commit that stamps.
    pub(crate) outbox_in_commit: bool,
    /// OUT-1: what was written to the outbox since it was read is not deleted.
    pub(crate) generations: bool,
    /// A message is let go last.
    pub(crate) acknowledged_last: bool,
    /// The sweep finds what nobody announced.
    pub(crate) sweep: bool,
}

impl Protections {
    pub(crate) const ALL: Self = Self {
        ordering_lock: true,
        live_keys_left_out: true,
        one_snapshot: true,
        insert_before_cursor: true,
        head_of_snapshot: true,
        highest_cursor: true,
        highest_version: true,
        outbox_in_commit: true,
        generations: true,
        acknowledged_last: true,
        sweep: true,
    };
}

/// A small world: who does what in it, and what may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Whose each key is.
    pub(crate) owners: [usize; KEYS],
    pub(crate) start: [Start; KEYS],
    /// Transactions one after another, each some writes.
    pub(crate) writers: Vec<Vec<Vec<Write>>>,
    pub(crate) rollbacks: bool,
    pub(crate) sequencers: usize,
    pub(crate) workers: usize,
    pub(crate) bases: usize,
    pub(crate) limits: PageLimits,
    pub(crate) faults: Faults,
    pub(crate) kept: Protections,
    /// The one promise to look at; none: all.
    pub(crate) only: Option<&'static str>,
}

impl State {
    /// Where a world begins.
    pub(crate) fn of(world: &World) -> Self {
        let mut source = Source { rows: [None; KEYS], tombstones: Vec::new(), head: 0 };
        let mut destination = Destination { rows: [None; KEYS], cursors: [0; TENANCIES] };
        for (key, start) in world.start.iter().enumerate() {
            let content = 100 + u8::try_from(key).expect("small worlds have small numbers");
            match start {
                Start::Absent => {}
                Start::Base => source.rows[key] = Some(Row { content, sequence: None, flagged: false }),
                Start::Shipped => {
                    source.head += 1;
                    let version = source.head;
                    source.rows[key] = Some(Row { content, sequence: Some(version), flagged: false });
                    destination.rows[key] = Some(Shipped { key, version, deleted: false, content });
                }
            }
        }
        destination.cursors = [source.head; TENANCIES];
        Self {
            next_sequence: source.head + 1,
            seen: Seen { highest: source.head, ..Seen::default() },
            source,
            writers: vec![Writer { at: 0, open: false }; world.writers.len()],
            sequencers: vec![Sequencer::Idle; world.sequencers],
            outbox: [None; TENANCIES],
            next_generation: 1,
            announcer: Announcer::Idle,
            queue: Vec::new(),
            workers: vec![Worker::Idle; world.workers],
            bases: vec![Base::Waiting; world.bases],
            destination,
            faults: world.faults,
        }
    }

    /// Processes of a kind are all the same: states that differ only in which of them does what are one.
    pub(crate) fn normal(mut self) -> Self {
        self.sequencers.sort();
        self.queue.sort_unstable();
        self.workers.sort();
        self.bases.sort();
        self
    }
}
