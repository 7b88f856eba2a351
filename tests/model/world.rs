//! A small world: who does what in it, what may go wrong, and what keeps the promises.

/// Tenancies, the places (project and branch) where they may live, and the keys of the one mapping.
pub(crate) const TENANCIES: usize = 2;
pub(crate) const PLACES: usize = 2;
pub(crate) const KEYS: usize = 2;
/// Parts in which a fill reads a table.
pub(crate) const PARTS: u8 = 2;

/// A set of small numbers (tenancies, places): bit by bit.
pub(crate) type Set = u8;

pub(crate) fn has(set: Set, member: usize) -> bool {
    set & (1 << member) != 0
}

pub(crate) fn small(number: usize) -> u8 {
    u8::try_from(number).expect("small worlds have small numbers")
}

/// What destinations keep.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Keeps {
    /// One destination has versions of the rows of all tenancies by place, tombstones included.
    Versions,
    /// Each tenancy has a destination of its own with its rows, and nothing of those that are gone.
    Rows,
}

/// How a row begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// Never there.
    Absent,
    /// Numbered, and shipped.
    Shipped,
    /// Numbered, and not shipped yet.
    Unshipped,
    /// There before capture: no change tells of it, and it was never shipped.
    Uncaptured,
    /// Shipped once, and gone from the source without being captured.
    Stale,
}

/// One write of the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    /// Inserts the tenancy's row of that key, or updates it where it is.
    Put(usize, usize),
    /// Deletes the tenancy's row of that key, where it is.
    Delete(usize, usize),
    /// Updates a column that is not exported: nothing is captured, but the row may lie in the other part of its table
    /// now.
    Shift(usize, usize),
    /// The tenancy is made at that place, or moves there.
    Settle(usize, usize),
    /// The tenancy is deleted, its rows stay: nothing refers to it.
    Abandon(usize),
    /// The tenancy is deleted, and its rows with it.
    Cascade(usize),
}

/// How often each thing may go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Faults {
    /// Processes that die.
    pub(crate) kills: u8,
    /// Messages that are lost, though the broker confirmed them.
    pub(crate) losses: u8,
    /// Messages that come twice.
    pub(crate) repeats: u8,
    /// Parts of a fill whose claim ends while they are in hand: somebody else reads them again, and they are written
    /// late.
    pub(crate) stalls: u8,
}

/// What keeps the promises. A model without one of them has to break one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protections {
    /// SEQ-1: one transaction at a time gives numbers.
    pub(crate) ordering_lock: bool,
    /// A plan is dropped, under the lock, when another pass came between.
    pub(crate) plan_checked_again: bool,
    /// CAP-1: what was running when a pass looked is not consumed by it.
    pub(crate) running_not_consumed: bool,
    /// CAP-1: how far a big transaction was taken is written down with the pass.
    pub(crate) position_of_share: bool,
    /// CAP-1: a pass that takes less than it saw keeps what earlier passes consumed.
    pub(crate) consumed_only_grows: bool,
    /// A tenancy's line carries the places that it left and took, as its trigger saw them.
    pub(crate) places_in_lines: bool,
    /// ISO-1: a pass records the places in all tenancy lines that it sees, also in those that it does not take yet.
    pub(crate) places_recorded_first: bool,
    /// ISO-1: rows are shipped to places only where the reader's snapshot has them recorded.
    pub(crate) recorded_places_only: bool,
    /// An expansion is deleted by the transaction that writes its lines.
    pub(crate) expansion_in_one_transaction: bool,
    /// Truncation: whether all is consumed is looked at while nobody can write to the inbox.
    pub(crate) truncation_under_lock: bool,
    /// Truncation: only when every transaction of the turn has ended.
    pub(crate) truncation_when_all_ended: bool,
    /// OUT-1: only committed changes are announced.
    pub(crate) announced_after_commit: bool,
    /// OUT-1: the position is written down after the broker's confirm.
    pub(crate) position_after_confirm: bool,
    /// DEL-1: whether a key lives is judged by place, not by tenancy.
    pub(crate) judged_by_place: bool,
    /// ISO-1: a change is shipped to the places where its tenancy was before, too.
    pub(crate) former_places: bool,
    /// CUR-1: a cursor goes as far as the snapshot saw, not as far as numbers are now.
    pub(crate) head_of_snapshot: bool,
    /// CUR-1: the rows are there before the cursor moves.
    pub(crate) rows_before_cursor: bool,
    /// CUR-1: the highest cursor wins.
    pub(crate) highest_cursor: bool,
    /// CUR-1: a page that its limits cut moves the cursor to the last number that was read.
    pub(crate) cut_page_stops: bool,
    /// IDEM-1: the highest version wins.
    pub(crate) highest_version: bool,
    /// IDEM-1: where deleted rows are forgotten, a page is written only where the cursor stands where it stood when the page
    /// was read.
    pub(crate) cursor_compared: bool,
    /// A message is let go last.
    pub(crate) acknowledged_last: bool,
    /// The sweep announces what is behind its cursor.
    pub(crate) sweep: bool,
    /// Fill: its number is drawn before its first row is read.
    pub(crate) floor_drawn_first: bool,
    /// Fill: rows that were written during it are exported once more.
    pub(crate) catch_up: bool,
    /// Fill: transactions that were running when it began count as later, though their ids are earlier.
    pub(crate) catch_up_of_running: bool,
    /// Fill: a row counts as stale only when no living tenancy of the place has it in the source.
    pub(crate) stale_judged_in_source: bool,
    /// Fill: stale rows are removed after what was caught up has been shipped.
    pub(crate) stale_after_catch_up: bool,
}

impl Protections {
    pub(crate) const ALL: Self = Self {
        ordering_lock: true,
        plan_checked_again: true,
        running_not_consumed: true,
        position_of_share: true,
        consumed_only_grows: true,
        places_in_lines: true,
        places_recorded_first: true,
        recorded_places_only: true,
        expansion_in_one_transaction: true,
        truncation_under_lock: true,
        truncation_when_all_ended: true,
        announced_after_commit: true,
        position_after_confirm: true,
        judged_by_place: true,
        former_places: true,
        head_of_snapshot: true,
        rows_before_cursor: true,
        highest_cursor: true,
        cut_page_stops: true,
        highest_version: true,
        cursor_compared: true,
        acknowledged_last: true,
        sweep: true,
        floor_drawn_first: true,
        catch_up: true,
        catch_up_of_running: true,
        stale_judged_in_source: true,
        stale_after_catch_up: true,
    };
}

/// Whose steps are looked at one by one. The others do theirs together: what may come between is another world's
/// business.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OneByOne {
    /// Transactions last, so that they commit in another order than they began.
    pub(crate) transactions: bool,
    pub(crate) sequencers: bool,
    pub(crate) expander: bool,
    /// Changes are announced and messages sent; else workers just know of them.
    pub(crate) messages: bool,
    pub(crate) workers: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) keeps: Keeps,
    /// Where each tenancy lives; none: it does not exist.
    pub(crate) places: [Option<usize>; TENANCIES],
    pub(crate) start: [[Start; KEYS]; TENANCIES],
    /// Transactions one after another, each some writes.
    pub(crate) writers: Vec<Vec<Vec<Write>>>,
    pub(crate) one_by_one: OneByOne,
    pub(crate) rollbacks: bool,
    pub(crate) sequencers: usize,
    /// A pass may take only transactions up to some id.
    pub(crate) limited_passes: bool,
    /// Lines of one transaction that a pass takes at most.
    pub(crate) share: usize,
    /// Transaction ids after which the inboxes take turns.
    pub(crate) turn: Option<u8>,
    pub(crate) workers: usize,
    /// Changes in a page at most: of a tenancy, and of all.
    pub(crate) tenancy_limit: usize,
    pub(crate) page_limit: usize,
    /// Whether the mapping is filled.
    pub(crate) fill: bool,
    pub(crate) faults: Faults,
    pub(crate) protections: Protections,
    /// The one promise to look at; none: all.
    pub(crate) only: Option<&'static str>,
}
