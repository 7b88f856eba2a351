//! What the model remembers: the source, schema lockstep, what each process is in the middle of, the queue, the
//! destination.

use super::world::{Faults, KEYS, Keeps, PLACES, Set, TENANCIES, has};

/// A row of the source, as committed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Row {
    pub(crate) content: u8,
    /// The part of the table in which it lies.
    pub(crate) part: u8,
    /// Written since the fill began.
    pub(crate) rewritten: bool,
}

/// The application's tables.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Source {
    pub(crate) rows: [[Option<Row>; KEYS]; TENANCIES],
    /// Where each tenancy lives.
    pub(crate) places: [Option<usize>; TENANCIES],
}

/// Which transactions have ended: those below `next` that were not running.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Snapshot {
    pub(crate) next: u8,
    /// Bit by bit.
    pub(crate) running: u32,
}

impl Snapshot {
    pub(crate) fn sees(self, xid: u8) -> bool {
        xid < self.next && self.running & (1 << xid) == 0
    }
}

/// What a line of the inbox tells of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Target {
    Row(usize, usize),
    /// A tenancy arrived at a place, or left it.
    Tenancy(usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Line {
    pub(crate) xid: u8,
    /// Among the lines of its transaction.
    pub(crate) position: u8,
    pub(crate) target: Target,
    /// Seen from outside: what it tells has been numbered.
    pub(crate) numbered: bool,
}

/// A big transaction that passes take in shares: its lines before `position` are numbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Unfinished {
    pub(crate) xid: u8,
    pub(crate) position: u8,
}

/// The newest pass.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Pass {
    pub(crate) id: u8,
    /// Every change up to this number is committed.
    pub(crate) last_sequence: u8,
    pub(crate) consumed: Snapshot,
    pub(crate) unfinished: Vec<Unfinished>,
}

/// A change that has its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Change {
    pub(crate) sequence: u8,
    pub(crate) tenancy: usize,
    pub(crate) key: usize,
    /// Seen from outside: the places of its tenancy that were recorded when it was numbered.
    pub(crate) places: Set,
}

/// What has to be searched for the keys that it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Expansion {
    Tenancy(usize),
    /// All rows written since the fill began.
    Rewritten,
}

/// The tables of schema lockstep, the inbox aside.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Control {
    pub(crate) changes: Vec<Change>,
    pub(crate) pass: Pass,
    /// Where every tenancy is and was.
    pub(crate) recorded: [Set; TENANCIES],
    pub(crate) expansions: Vec<Expansion>,
    pub(crate) announced: u8,
}

/// A writer of the application's: at which transaction of its script it is, and under which id that is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Writer {
    pub(crate) at: usize,
    pub(crate) xid: Option<u8>,
}

/// What a look found to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Plan {
    /// The pass that it goes on from.
    pub(crate) after: u8,
    pub(crate) lines: Vec<Line>,
    /// Places in tenancy lines that were seen, taken or not: (tenancy, place).
    pub(crate) places: Vec<(usize, usize)>,
    pub(crate) consumed: Snapshot,
    pub(crate) unfinished: Vec<Unfinished>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Sequencer {
    Idle,
    Planned(Plan),
    /// In the transaction that gives numbers, which begin here.
    Numbering(Plan, u8),
}

/// Who empties the inbox of a turn. Without the lock, it has only looked when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Truncation {
    Idle,
    Decided(u8),
}

/// Rows that an expansion stands for.
pub(crate) type Keys = Vec<(usize, usize)>;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Expander {
    Idle,
    Read(u8, Expansion, Keys),
}

/// Announces the changes after one number through another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Announcer {
    Idle,
    Read(u8, u8),
    Confirmed(u8),
}

/// A row on its way to a place; without content: a tombstone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Shipped {
    pub(crate) place: usize,
    pub(crate) key: usize,
    pub(crate) version: u8,
    pub(crate) content: Option<u8>,
}

/// Where a cursor may go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Forward {
    pub(crate) tenancy: usize,
    /// Where it stood when the page was read.
    pub(crate) from: u8,
    pub(crate) to: u8,
    /// Nothing of the tenancy was cut off.
    pub(crate) whole: bool,
}

/// A page that is read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Page {
    pub(crate) hinted: Set,
    /// Still to be written.
    pub(crate) rows: Vec<Shipped>,
    /// Empty once the cursors are there.
    pub(crate) forward: Vec<Forward>,
    /// Tenancies with further pages, to be announced.
    pub(crate) continued: Set,
    /// Without the head of the snapshot: it is still to be read.
    pub(crate) head_missing: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Worker {
    Idle,
    /// It has read the cursors.
    Reading(Set, [u8; TENANCIES]),
    Shipping(Page),
}

/// The fill of the mapping; its floor is the version of its rows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Fill {
    Waiting,
    /// The next part to read.
    Reading(Option<u8>, u8),
    Writing(Option<u8>, u8, Vec<Shipped>),
    CatchingUp(u8),
    Removing(u8, Vec<Shipped>),
    Done,
}

/// What the destination has of a key: its version, and its content unless it is a tombstone.
pub(crate) type Stored = Option<(u8, Option<u8>)>;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Destination {
    pub(crate) keeps: Keeps,
    /// By place and key; by tenancy and key where each has its own.
    pub(crate) rows: [[Stored; KEYS]; PLACES],
    pub(crate) cursors: [u8; TENANCIES],
    /// The next part of the fill, where that is remembered beside the rows.
    pub(crate) filling: Option<u8>,
}

impl Destination {
    /// Whether it is there that a tenancy's rows go, which is or was at these places.
    pub(crate) fn concerns(&self, place: usize, tenancy: usize, places: Set) -> bool {
        match self.keeps {
            Keeps::Versions => has(places, place),
            Keeps::Rows => place == tenancy,
        }
    }
}

/// What happened that no later state shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Seen {
    /// The highest number that was committed.
    pub(crate) highest: u8,
    /// A number was committed that is not above all that were committed before (SEQ-1).
    pub(crate) out_of_order: bool,
    /// A line that was consumed is not any more, or one that was never numbered was truncated (CAP-1).
    pub(crate) consumed_back: bool,
    pub(crate) truncated_unnumbered: bool,
    /// Every change through this number was published after its commit, unless the next says so (OUT-1).
    pub(crate) published: u8,
    pub(crate) unannounced: bool,
    /// A tombstone was read for a key that a tenancy known to live at its place has (DEL-1).
    pub(crate) living_buried: bool,
    /// A cursor moved back (CUR-1).
    pub(crate) cursor_back: bool,
    /// A row gave way to one with a lower version (IDEM-1).
    pub(crate) version_back: bool,
    /// Nothing can happen any more, and yet not everything is done.
    pub(crate) stuck: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) source: Source,
    pub(crate) writers: Vec<Writer>,
    pub(crate) next_xid: u8,
    pub(crate) inbox: Vec<Line>,
    pub(crate) control: Control,
    pub(crate) next_sequence: u8,
    pub(crate) sequencers: Vec<Sequencer>,
    pub(crate) truncation: Truncation,
    pub(crate) expander: Expander,
    pub(crate) announcer: Announcer,
    pub(crate) queue: Vec<Set>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) fill: Fill,
    /// The first transaction id that the fill's first snapshot had not seen begin.
    pub(crate) fill_xid: u8,
    /// Parts of the fill that a stalled process still has in hand.
    pub(crate) stalled: Vec<Vec<Shipped>>,
    pub(crate) destination: Destination,
    pub(crate) faults: Faults,
    pub(crate) seen: Seen,
}

impl State {
    /// Processes of a kind are all the same: states that differ only in which of them does what are one.
    pub(crate) fn normal(mut self) -> Self {
        self.sequencers.sort();
        self.queue.sort_unstable();
        self.workers.sort();
        self.stalled.sort();
        self.inbox.sort_unstable();
        self.control.expansions.sort_unstable();
        self
    }
}
