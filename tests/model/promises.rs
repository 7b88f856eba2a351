//! What has to hold in every state.

use stateright::Property;

use super::state::{Announcer, Expander, Fill, Sequencer, State, Truncation, Worker};
use super::world::{KEYS, PLACES, World};

pub(crate) const SEQ_1: &str = "SEQ-1: commit order is sequence order";
pub(crate) const CAP_1: &str = "CAP-1: what is consumed or truncated has its number, once";
pub(crate) const OUT_1: &str = "OUT-1: a numbered change is announced, or above the announced position";
pub(crate) const DEL_1: &str = "DEL-1: a tombstone never beats a live row of its key at its place";
pub(crate) const ISO_1: &str = "ISO-1: no place keeps a row of a tenancy that does not live there";
pub(crate) const CUR_1: &str = "CUR-1: a cursor passes nothing that is not there, and never moves back";
pub(crate) const IDEM_1: &str = "IDEM-1: what comes late or again changes nothing that a reader sees";
pub(crate) const EQUAL: &str = "when all is quiet both sides are equal";
pub(crate) const NO_DEAD_END: &str = "whatever happened, the work is done in the end";
/// Reached somewhere, or the model would promise nothing.
pub(crate) const QUIET: &str = "all becomes quiet";

pub(crate) fn all() -> Vec<Property<World>> {
    vec![
        Property::always(SEQ_1, |_, state: &State| !state.seen.out_of_order),
        Property::always(CAP_1, |_, state: &State| is_captured(state)),
        Property::always(OUT_1, |_, state: &State| {
            !state.seen.unannounced && state.control.announced <= state.seen.published
        }),
        Property::always(DEL_1, |_, state: &State| !state.seen.living_buried && nowhere(state, Wrong::Hidden)),
        Property::always(ISO_1, |_, state: &State| nowhere(state, Wrong::LeftOver)),
        Property::always(IDEM_1, |_, state: &State| !state.seen.version_back && nowhere(state, Wrong::Outdated)),
        Property::always(CUR_1, |_, state: &State| !state.seen.cursor_back && holds_what_cursors_say(state)),
        Property::always(EQUAL, |world: &World, state: &State| {
            !world.is_quiet(state) || places_and_keys().all(|(place, key)| judge(state, place, key).is_none())
        }),
        Property::always(NO_DEAD_END, |_, state: &State| !state.seen.stuck),
        Property::sometimes(QUIET, |world: &World, state: &State| world.is_quiet(state)),
    ]
}

impl World {
    /// Nothing is left to do for anybody.
    pub(crate) fn is_quiet(&self, state: &State) -> bool {
        let written = state.writers.iter().zip(&self.writers).all(|(writer, script)| writer.at == script.len());
        let numbered = is_numbered(state) && state.sequencers.iter().all(|sequencer| *sequencer == Sequencer::Idle);
        let announced = !self.one_by_one.messages || is_announced(state);
        let shipped = state.workers.iter().all(|worker| *worker == Worker::Idle);
        let filled = state.fill == Fill::Done && state.stalled.is_empty();
        let swept = !(self.protections.sweep && state.behind() != 0);
        written && numbered && announced && shipped && filled && swept && state.truncation == Truncation::Idle
    }
}

fn is_announced(state: &State) -> bool {
    let published = state.control.announced >= state.control.pass.last_sequence;
    published && state.announcer == Announcer::Idle && state.queue.is_empty()
}

fn places_and_keys() -> impl Iterator<Item = (usize, usize)> {
    (0..PLACES).flat_map(|place| (0..KEYS).map(move |key| (place, key)))
}

fn is_captured(state: &State) -> bool {
    let none_lost = state.inbox.iter().all(|line| line.numbered || !state.is_consumed(line));
    none_lost && !state.seen.consumed_back && !state.seen.truncated_unnumbered
}

/// Everything that was captured has been expanded and has its number.
fn is_numbered(state: &State) -> bool {
    state.waiting().next().is_none() && state.control.expansions.is_empty() && state.expander == Expander::Idle
}

/// How a place may show a key wrongly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    /// A living tenancy has it, the place does not show it.
    Hidden,
    /// No living tenancy has it, the place shows it.
    LeftOver,
    /// A living tenancy has it with other content.
    Outdated,
}

/// Compares a place with the tenancies that live there. Where two of them have the key, the place shows one.
fn judge(state: &State, place: usize, key: usize) -> Option<Wrong> {
    let shown = state.destination.rows[place][key].and_then(|(_, content)| content);
    let mut living = state.source.living(state.destination.keeps, place, key).peekable();
    match shown {
        None => living.peek().map(|_| Wrong::Hidden),
        Some(_) if living.peek().is_none() => Some(Wrong::LeftOver),
        Some(content) => (!living.any(|current| current == content)).then_some(Wrong::Outdated),
    }
}

/// The last number that any tenancy of the place, now or formerly, got for the key.
fn last_word(state: &State, place: usize, key: usize) -> u8 {
    let changes = state.control.changes.iter().filter(|change| change.key == key);
    let recorded = &state.control.recorded;
    let there = changes.filter(|change| state.destination.concerns(place, change.tenancy, recorded[change.tenancy]));
    there.map(|change| change.sequence).max().unwrap_or_default()
}

/// Nobody has anything in hand that could change what the destination shows, or is going to.
fn is_shipped(state: &State) -> bool {
    let idle = state.workers.iter().all(|worker| *worker == Worker::Idle) && state.stalled.is_empty();
    idle && state.fill == Fill::Done && state.behind() == 0
}

/// Once all is numbered, and the last word about a key has come to its place, nothing else will come that could mend
/// it.
fn nowhere(state: &State, wrong: Wrong) -> bool {
    // What a fill is there to mend is wrong until it is done.
    if !is_numbered(state) || (wrong != Wrong::Hidden && state.fill != Fill::Done) {
        return true;
    }
    let is_final = |(place, key): &(usize, usize)| {
        let arrived = state.destination.rows[*place][*key];
        arrived.is_some_and(|(version, _)| version >= last_word(state, *place, *key)) || is_shipped(state)
    };
    places_and_keys().filter(is_final).all(|(place, key)| judge(state, place, key) != Some(wrong))
}

/// Wherever its tenancy was known to be when a change was numbered, it or a later one is there once the cursor has
/// passed it.
fn holds_what_cursors_say(state: &State) -> bool {
    let passed = |tenancy: usize, sequence: u8| sequence <= state.destination.cursors[tenancy];
    let changes = state.control.changes.iter().filter(|change| passed(change.tenancy, change.sequence));
    changes.into_iter().all(|change| {
        let concerned = (0..PLACES).filter(|place| state.destination.concerns(*place, change.tenancy, change.places));
        concerned.into_iter().all(|place| {
            state.destination.rows[place][change.key].is_some_and(|(version, _)| version >= change.sequence)
        })
    })
}
