//! The announcer, the queue, the workers, the fill, and the destination.

use super::state::{Announcer, Destination, Expander, Expansion, Fill, Sequencer, Shipped, State, Worker};
use super::world::{Keeps, PARTS, Set, World};

impl Destination {
    /// Keeps the row with the highest version; of two with the same, the later one.
    pub(crate) fn put(&mut self, row: Shipped, highest_version: bool) -> bool {
        let stored = &mut self.rows[row.place][row.key];
        let goes_back = stored.is_some_and(|(version, _)| version > row.version);
        if goes_back && highest_version {
            return false;
        }
        *stored = Some((row.version, row.content));
        goes_back
    }
}

impl State {
    /// Tenancies with changes above their cursor.
    pub(crate) fn behind(&self) -> Set {
        let changes = self.control.changes.iter().filter(|change| change.sequence <= self.control.pass.last_sequence);
        let hinted = changes.filter(|change| change.sequence > self.destination.cursors[change.tenancy]);
        hinted.fold(0, |behind, change| behind | 1 << change.tenancy) & !self.in_fill()
    }

    /// A broker's confirm is all that is known of a message.
    fn publish(&mut self, from: u8, to: u8) {
        let changes = self.control.changes.iter();
        let hinted = changes.filter(|change| change.sequence > from && change.sequence <= to);
        let hinted = hinted.fold(0, |hinted, change| hinted | 1 << change.tenancy);
        self.queue.push(hinted);
        if from <= self.seen.published {
            self.seen.published = self.seen.published.max(to);
        }
    }

    /// The head as it is after the page's snapshot.
    pub(crate) fn read_head(&mut self, index: usize) {
        let head = self.control.pass.last_sequence;
        if let Worker::Shipping(page) = &mut self.workers[index] {
            page.head_missing = false;
            page.forward.iter_mut().filter(|forward| forward.whole).for_each(|forward| forward.to = head);
        }
    }

    fn draw_floor(&mut self) -> u8 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    fn is_caught_up(&self) -> bool {
        let reading = matches!(self.expander, Expander::Read(_, Expansion::Rewritten, _));
        let expanding = reading || self.control.expansions.contains(&Expansion::Rewritten);
        !expanding && self.waiting().next().is_none() && self.behind() == 0
    }
}

impl World {
    pub(crate) fn put(&self, state: &mut State, row: Shipped) {
        state.seen.version_back |= state.destination.put(row, self.protections.highest_version);
    }

    pub(crate) fn announce(&self, state: &mut State) {
        let head = state.control.pass.last_sequence;
        state.announcer = match state.announcer {
            Announcer::Idle => {
                let from = state.control.announced;
                if !self.protections.position_after_confirm {
                    state.control.announced = head;
                }
                Announcer::Read(from, head)
            }
            Announcer::Read(from, to) => {
                state.publish(from, to);
                Announcer::Confirmed(to)
            }
            Announcer::Confirmed(to) => {
                state.control.announced = to;
                Announcer::Idle
            }
        };
    }

    /// A worker takes up hints for these tenancies.
    pub(crate) fn open(&self, state: &mut State, index: usize, hinted: Set) {
        state.workers[index] = Worker::Reading(hinted, state.destination.cursors);
        if !self.one_by_one.workers {
            self.read_page(state, index);
        }
    }

    pub(crate) fn read_page(&self, state: &mut State, index: usize) {
        if let Worker::Reading(hinted, cursors) = state.workers[index] {
            let page = self.page(state, hinted, cursors);
            Self::look_at(state, &page.rows);
            state.workers[index] = Worker::Shipping(page);
        }
    }

    /// All that is left of a page.
    pub(crate) fn write_page(&self, state: &mut State, index: usize) {
        if self.keeps == Keeps::Versions {
            while matches!(&state.workers[index], Worker::Shipping(page) if !page.rows.is_empty()) {
                self.write_row(state, index);
            }
        }
        self.move_cursors(state, index);
        self.acknowledge(state, index);
    }

    pub(crate) fn write_row(&self, state: &mut State, index: usize) {
        if let Worker::Shipping(page) = &mut state.workers[index] {
            let row = page.rows.remove(0);
            self.put(state, row);
        }
    }

    /// Where rows and cursors are one transaction, both.
    pub(crate) fn move_cursors(&self, state: &mut State, index: usize) {
        if self.keeps == Keeps::Rows {
            return self.write_own_pages(state, index);
        }
        let Worker::Shipping(page) = &mut state.workers[index] else { return };
        for forward in std::mem::take(&mut page.forward) {
            let cursor = &mut state.destination.cursors[forward.tenancy];
            let moved = if self.protections.highest_cursor { forward.to.max(*cursor) } else { forward.to };
            state.seen.cursor_back |= moved < *cursor;
            *cursor = moved;
        }
    }

    /// Further pages are announced before the message is let go.
    pub(crate) fn acknowledge(&self, state: &mut State, index: usize) {
        if let Worker::Shipping(page) = std::mem::replace(&mut state.workers[index], Worker::Idle)
            && page.continued != 0
            && self.one_by_one.messages
        {
            state.queue.push(page.continued);
        }
    }

    /// Whether the fill can go on, or waits for what was caught up to be shipped.
    pub(crate) fn can_fill(&self, state: &State) -> bool {
        match state.fill {
            Fill::Done => false,
            Fill::CatchingUp(_) => !self.protections.stale_after_catch_up || state.is_caught_up(),
            _ => true,
        }
    }

    pub(crate) fn fill(&self, state: &mut State) {
        if self.keeps == Keeps::Rows {
            return self.fill_own(state);
        }
        state.fill = match std::mem::replace(&mut state.fill, Fill::Waiting) {
            Fill::Waiting => {
                state.fill_xid = state.next_xid;
                Fill::Reading(self.protections.floor_drawn_first.then(|| state.draw_floor()), 0)
            }
            Fill::Reading(floor, part) => {
                let rows = self.rows_of_part(state, part, floor.unwrap_or_default());
                Fill::Writing(floor, part, rows)
            }
            Fill::Writing(floor, part, rows) => {
                let floor = floor.unwrap_or_else(|| state.draw_floor());
                rows.into_iter().for_each(|row| self.put(state, Shipped { version: floor, ..row }));
                self.after_part(state, floor, part)
            }
            Fill::CatchingUp(floor) => {
                let rows = self.stale_rows(state, floor);
                Self::look_at(state, &rows);
                Fill::Removing(floor, rows)
            }
            Fill::Removing(_, rows) => {
                rows.into_iter().for_each(|row| self.put(state, row));
                Fill::Done
            }
            Fill::Done => Fill::Done,
        };
    }

    fn after_part(&self, state: &mut State, floor: u8, part: u8) -> Fill {
        if part + 1 < PARTS {
            return Fill::Reading(Some(floor), part + 1);
        }
        if self.protections.catch_up {
            state.control.expansions.push(Expansion::Rewritten);
        }
        Fill::CatchingUp(floor)
    }

    /// A process dies: its transaction is undone, its message comes again, its part is read again.
    pub(crate) fn kill(&self, state: &mut State, killed: Killed) {
        state.faults.kills -= 1;
        match killed {
            Killed::Sequencer(index) => state.sequencers[index] = Sequencer::Idle,
            Killed::Expander => state.expander = Expander::Idle,
            Killed::Announcer => state.announcer = Announcer::Idle,
            Killed::Worker(index) => {
                let hinted = match std::mem::replace(&mut state.workers[index], Worker::Idle) {
                    Worker::Idle => 0,
                    Worker::Reading(hinted, _) => hinted,
                    Worker::Shipping(page) => page.hinted,
                };
                if hinted != 0 && self.protections.acknowledged_last && self.one_by_one.messages {
                    state.queue.push(hinted);
                }
            }
            Killed::Fill => self.leave_part(state, false),
        }
    }

    /// The part is read again, by the same process or by another; what a stalled one has in hand may still come.
    pub(crate) fn leave_part(&self, state: &mut State, stalled: bool) {
        let (again, rows) = match std::mem::replace(&mut state.fill, Fill::Done) {
            Fill::Writing(floor, part, rows) => (Fill::Reading(floor, part), rows),
            Fill::Removing(floor, rows) => (Fill::CatchingUp(floor), rows),
            other => (other, Vec::new()),
        };
        state.fill = again;
        if stalled && !rows.is_empty() {
            state.stalled.push(rows);
        }
    }
}
/// Who dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Killed {
    Sequencer(usize),
    Expander,
    Announcer,
    Worker(usize),
    Fill,
}
