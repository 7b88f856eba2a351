//! What a worker reads in one snapshot: each change becomes rows, one for each place that it concerns.

use super::state::{Change, Forward, Page, Shipped, State};
use super::world::{KEYS, Keeps, PLACES, Set, TENANCIES, World, has};

impl World {
    /// Whether the tenancy lives there, as far as readers go by it.
    fn lives(&self, state: &State, tenancy: usize, place: usize) -> bool {
        let recorded = !self.protections.recorded_places_only || has(state.control.recorded[tenancy], place);
        state.source.places[tenancy] == Some(place) && recorded
    }

    /// Where the tenancy is, and where it was.
    fn places(&self, state: &State, tenancy: usize) -> Set {
        let current =
            (0..PLACES).filter(|place| self.lives(state, tenancy, *place)).fold(0, |set, place| set | 1 << place);
        if self.protections.former_places { current | state.control.recorded[tenancy] } else { current }
    }

    /// The tenancy's own row where it lives there; else the row of another that does; else none: a tombstone.
    fn content(&self, state: &State, change: &Change, place: usize) -> Option<u8> {
        let content = |tenancy: usize| Some(state.source.rows[tenancy][change.key]?.content);
        let own = self.lives(state, change.tenancy, place).then(|| content(change.tenancy)).flatten();
        let others = (0..TENANCIES).filter(|other| *other != change.tenancy && self.lives(state, *other, place));
        own.or_else(|| if self.protections.judged_by_place { others.filter_map(content).next() } else { None })
    }

    fn rows_of(&self, state: &State, change: &Change) -> Vec<Shipped> {
        let places = self.places(state, change.tenancy);
        let row = |place| Shipped {
            place,
            key: change.key,
            version: change.sequence,
            content: self.content(state, change, place),
        };
        (0..PLACES).filter(|place| has(places, *place)).map(row).collect()
    }

    /// Changes above the cursors of these tenancies up to the head, within limits; where cursors may go then.
    pub(crate) fn page(&self, state: &State, hinted: Set, cursors: [u8; TENANCIES]) -> Page {
        let head = state.control.pass.last_sequence;
        let (mut rows, mut forward, mut continued) = (Vec::new(), Vec::new(), 0);
        let mut left = self.page_limit;
        for tenancy in (0..TENANCIES).filter(|tenancy| has(hinted, *tenancy)) {
            let after = cursors[tenancy];
            let mut changes: Vec<_> =
                state.control.changes.iter().filter(|change| change.tenancy == tenancy).copied().collect();
            changes.retain(|change| change.sequence > after && change.sequence <= head);
            changes.sort_unstable();
            let limit = left.min(self.tenancy_limit);
            let whole = changes.len() <= limit;
            changes.truncate(limit);
            left -= changes.len();
            let last = changes.last().map_or(after, |change| change.sequence);
            let to = if whole || !self.protections.cut_page_stops { head } else { last };
            if to > after || (!self.protections.highest_cursor && to == after) {
                forward.push(Forward { tenancy, from: after, to, whole });
            }
            if !whole {
                continued |= 1 << tenancy;
            }
            match self.keeps {
                Keeps::Versions => rows.extend(changes.iter().flat_map(|change| self.rows_of(state, change))),
                Keeps::Rows => rows.extend(changes.iter().map(|change| state.own_row_of(change))),
            }
        }
        Page { hinted, rows, forward, continued, head_missing: !self.protections.head_of_snapshot }
    }

    /// Looks at rows from outside, in the snapshot in which they were read.
    pub(crate) fn look_at(state: &mut State, rows: &[Shipped]) {
        let has = |tenancy: usize, row: &Shipped| {
            let known = state.destination.concerns(row.place, tenancy, state.control.recorded[tenancy]);
            let is_there = match state.destination.keeps {
                Keeps::Versions => state.source.places[tenancy] == Some(row.place),
                Keeps::Rows => state.source.places[tenancy].is_some(),
            };
            known && is_there && state.source.rows[tenancy][row.key].is_some()
        };
        let buries = |row: &Shipped| row.content.is_none() && (0..TENANCIES).any(|tenancy| has(tenancy, row));
        state.seen.living_buried |= rows.iter().any(buries);
    }

    /// Rows of one part of the table at the places where their tenancies live: what a fill ships.
    pub(crate) fn rows_of_part(&self, state: &State, part: u8, version: u8) -> Vec<Shipped> {
        let places = (0..PLACES).flat_map(|place| (0..TENANCIES).map(move |tenancy| (place, tenancy)));
        let living = places.filter(|(place, tenancy)| self.lives(state, *tenancy, *place));
        let of_tenancy = |(place, tenancy): (usize, usize)| {
            (0..KEYS).filter_map(move |key| {
                let row = state.source.rows[tenancy][key].filter(|row| row.part == part)?;
                Some(Shipped { place, key, version, content: Some(row.content) })
            })
        };
        living.flat_map(of_tenancy).collect()
    }

    /// Tombstones for what the destination shows below the floor, and the source does not have.
    pub(crate) fn stale_rows(&self, state: &State, floor: u8) -> Vec<Shipped> {
        let keys = (0..PLACES).flat_map(|place| (0..KEYS).map(move |key| (place, key)));
        let is_stale = |(place, key): &(usize, usize)| {
            let shown = state.destination.rows[*place][*key];
            shown.is_some_and(|(version, content)| version < floor && content.is_some())
                && !(self.protections.stale_judged_in_source
                    && state.source.living(self.keeps, *place, *key).next().is_some())
        };
        let tombstone = |(place, key)| Shipped { place, key, version: floor, content: None };
        keys.filter(is_stale).map(tombstone).collect()
    }
}
