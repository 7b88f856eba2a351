//! Destinations that forget deleted rows: each tenancy has a database of its own, which is told from others by the tenancy's
//! number in the place of a place.
//!
//! No version is left there to compare with. A page is one transaction, and is written only where the cursor, or the position
//! of the fill, stands where it stood when the page was read. The versions that the model keeps all the same are seen from
//! outside, for the promises; nothing here goes by them.

use super::state::{Change, Fill, Forward, Page, Shipped, State, Worker};
use super::world::{Keeps, PARTS, Set, World, has};

/// The tenancy whose database is filled. The parts of that fill are its keys.
const FILLED: usize = 0;

impl State {
    /// What is read of a key is what the tenancy has, wherever it is.
    fn own_row(&self, tenancy: usize, key: usize, version: u8) -> Shipped {
        let content = self.source.living(Keeps::Rows, tenancy, key).next();
        Shipped { place: tenancy, key, version, content }
    }

    pub(crate) fn own_row_of(&self, change: &Change) -> Shipped {
        self.own_row(change.tenancy, change.key, change.sequence)
    }

    /// Nothing is streamed to a database while it is filled.
    pub(crate) fn in_fill(&self) -> Set {
        if self.destination.filling.is_some() { 1 << FILLED } else { 0 }
    }
}

impl World {
    fn overwrite(&self, state: &mut State, rows: impl IntoIterator<Item = Shipped>) {
        for row in rows {
            state.seen.version_back |= state.destination.put(row, false);
        }
    }

    /// One transaction in each database that the page concerns: its rows and its cursor, or nothing, where something came
    /// between. What is missing then is read again.
    pub(crate) fn write_own_pages(&self, state: &mut State, index: usize) {
        let Worker::Shipping(Page { rows, forward, .. }) = &mut state.workers[index] else { return };
        let (rows, forward) = (std::mem::take(rows), std::mem::take(forward));
        for Forward { tenancy, from, to, .. } in forward {
            let stands = state.destination.cursors[tenancy] == from && !has(state.in_fill(), tenancy);
            if stands || !self.protections.cursor_compared {
                self.overwrite(state, rows.iter().filter(|row| row.place == tenancy).copied());
                let cursor = &mut state.destination.cursors[tenancy];
                *cursor = to.max(*cursor);
            }
        }
    }

    pub(crate) fn fill_own(&self, state: &mut State) {
        state.fill = match std::mem::replace(&mut state.fill, Fill::Waiting) {
            Fill::Waiting => {
                // There is no cursor until the fill has ended.
                (state.destination.filling, state.destination.cursors[FILLED]) = (Some(0), 0);
                // All that has a number by now is in what will be read.
                Fill::Reading(Some(state.control.pass.last_sequence), 0)
            }
            Fill::Reading(Some(floor), part) => {
                Fill::Writing(Some(floor), part, vec![state.own_row(FILLED, usize::from(part), floor)])
            }
            Fill::Writing(Some(floor), _, rows) => {
                self.write_own_part(state, rows);
                state.destination.filling.map_or(Fill::Done, |part| Fill::Reading(Some(floor), part))
            }
            other => other,
        };
    }

    /// A part and how far the fill has come, or nothing, where it is there already.
    pub(crate) fn write_own_part(&self, state: &mut State, rows: Vec<Shipped>) {
        let Some(Shipped { key, version, .. }) = rows.first().copied() else { return };
        let stands = state.destination.filling.is_some_and(|part| usize::from(part) == key);
        if stands || !self.protections.cursor_compared {
            self.overwrite(state, rows);
        }
        if stands {
            let next = state.destination.filling.map(|part| part + 1).filter(|part| *part < PARTS);
            if next.is_none() {
                state.destination.cursors[FILLED] = version;
            }
            state.destination.filling = next;
        }
    }
}
