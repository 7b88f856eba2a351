//! What has to hold in every state.

use stateright::Property;

use super::state::{Announcer, Base, KEYS, Sequencer, Shipped, State, Worker, World};

pub(crate) const SEQ_1: &str = "SEQ-1: commit order is sequence order";
pub(crate) const DEL_1: &str = "DEL-1: a tombstone never beats a live row of its key";
pub(crate) const CUR_1: &str = "CUR-1: a cursor passes nothing that is not there, and never moves back";
pub(crate) const IDEM_1: &str = "IDEM-1: what comes late or again changes nothing that a reader sees";
pub(crate) const EQUAL: &str = "when all is quiet both sides are equal";
pub(crate) const NO_DEAD_END: &str = "whatever happened, the work is done in the end";
/// Reached somewhere, or the model would promise nothing.
pub(crate) const QUIET: &str = "all becomes quiet";

pub(crate) fn all() -> Vec<Property<World>> {
    vec![
        Property::always(SEQ_1, |_, state: &State| !state.seen.out_of_order),
        Property::always(DEL_1, |_, state: &State| (0..KEYS).all(|key| !is_hidden(state, key))),
        Property::always(CUR_1, |world: &World, state: &State| {
            !state.seen.moved_back && (0..KEYS).all(|key| holds_what_its_cursor_says(world, state, key))
        }),
        Property::always(IDEM_1, |world: &World, state: &State| {
            (0..KEYS).all(|key| is_safe_from_what_comes_late(world, state, key))
        }),
        Property::always(EQUAL, |world: &World, state: &State| {
            !world.is_quiet(state) || (0..KEYS).all(|key| seen(state, key) == live(state, key))
        }),
        Property::always(NO_DEAD_END, |_, state: &State| !state.seen.stuck),
        Property::sometimes(QUIET, |world: &World, state: &State| world.is_quiet(state)),
    ]
}

impl World {
    /// Nothing is left to do for anybody.
    pub(crate) fn is_quiet(&self, state: &State) -> bool {
        let written = state.writers.iter().zip(&self.writers).all(|(writer, script)| writer.at == script.len());
        let stamped = state.source.rows.iter().flatten().all(|row| !row.flagged)
            && state.source.tombstones.iter().all(|tombstone| tombstone.sequence.is_some());
        written
            && stamped
            && state.sequencers.iter().all(|sequencer| *sequencer == Sequencer::Idle)
            && state.outbox.iter().all(Option::is_none)
            && state.announcer == Announcer::Idle
            && state.queue.is_empty()
            && state.workers.iter().all(|worker| *worker == Worker::Idle)
            && state.bases.iter().all(|base| *base == Base::Done)
            && !(self.kept.sweep && self.behind(state) != 0)
    }
}

/// What a reader sees of a key.
fn seen(state: &State, key: usize) -> Option<u8> {
    state.destination.rows[key].filter(|row| !row.deleted).map(|row| row.content)
}

fn live(state: &State, key: usize) -> Option<u8> {
    state.source.rows[key].map(|row| row.content)
}

/// A row that waits for nothing any more is behind a tombstone that will never give way.
fn is_hidden(state: &State, key: usize) -> bool {
    let stamped = state.source.rows[key].filter(|row| !row.flagged).and_then(|row| row.sequence);
    let tombstone = state.destination.rows[key].filter(|row| row.deleted);
    stamped.zip(tombstone).is_some_and(|(sequence, tombstone)| tombstone.version > sequence)
}

/// The number with which the source has said its last word about a key so far, if it has.
fn last_word(state: &State, key: usize) -> Option<u8> {
    match state.source.rows[key] {
        Some(row) if row.flagged => None,
        Some(row) => row.sequence,
        None => {
            let of_key = || state.source.tombstones.iter().filter(|tombstone| tombstone.key == key);
            if of_key().any(|tombstone| tombstone.sequence.is_none()) {
                return None;
            }
            of_key().filter_map(|tombstone| tombstone.sequence).max()
        }
    }
}

fn holds_what_its_cursor_says(world: &World, state: &State, key: usize) -> bool {
    let cursor = state.destination.cursors[world.owners[key]];
    if last_word(state, key).is_some_and(|number| number <= cursor) && seen(state, key) != live(state, key) {
        return false;
    }
    // A row that has changed again since is there at least as it was when it got its number.
    let stamped = state.source.rows[key].and_then(|row| row.sequence).filter(|number| *number <= cursor);
    stamped.is_none_or(|number| state.destination.rows[key].is_some_and(|row| row.version >= number))
}

/// Where the destination shows what the source has said last, nothing that anybody has in hand changes it.
fn is_safe_from_what_comes_late(world: &World, state: &State, key: usize) -> bool {
    let cursor = state.destination.cursors[world.owners[key]];
    let in_step = last_word(state, key).is_some_and(|number| number <= cursor) && seen(state, key) == live(state, key);
    let in_hand = || {
        let pages = state.workers.iter().filter_map(|worker| match worker {
            Worker::Shipping(page) => Some(&page.rows),
            _ => None,
        });
        let bases = state.bases.iter().filter_map(|base| match base {
            Base::Read(rows) => Some(rows),
            _ => None,
        });
        pages.chain(bases).flatten().filter(|row| row.key == key)
    };
    let changes = |row: &Shipped| {
        let kept = state.destination.rows[key].filter(|kept| world.kept.highest_version && kept.version > row.version);
        let shown = kept.unwrap_or(*row);
        (!shown.deleted).then_some(shown.content) != seen(state, key)
    };
    !in_step || !in_hand().any(changes)
}
