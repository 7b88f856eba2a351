//! The first pass over a mapping: every row of both sides, once, side by side. [`crate::passes`] puts it to work.
//!
//! What differs here may have been on its way; the second look ([`crate::recheck`]) finds out. Where more keys differ than
//! are kept, nothing is said of the rest, unless the mapping is being filled. Rows that the source cannot give are left
//! out, and named.

use std::collections::BTreeSet;
use std::pin::pin;

use futures_util::TryStreamExt;
use lockstep_core::{Location, TenancyId};
use lockstep_destinations::Destination;
use lockstep_destinations::compare::{Compare, Shape};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{Key, Part, Scope};
use lockstep_schema::fits_its_table;

use crate::error::VerifyError;
use crate::judge::Kind;
use crate::look::Sides;
use crate::merge::{Meeting, Merge, Side};
use crate::progress::Progress;
use crate::source_rows::SourceRows;
use crate::storage;
use crate::unreadable::Unreadable;

/// Places with something that is not judged, at most; of more, nothing is said of any place.
const MAX_PLACES: usize = 10_000;
/// Progress is told once in so many rows.
const ROWS_PER_STEP: u64 = 1024;

/// A key at which the sides differed, for the second look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Differing {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    pub(crate) tenancy: Option<TenancyId>,
}

/// What the first pass found.
#[derive(Default, Debug)]
pub(crate) struct FirstPass {
    pub(crate) source_rows: u64,
    pub(crate) destination_rows: u64,
    /// Rows that both sides have, alike.
    pub(crate) equal_rows: u64,
    /// For the second look.
    pub(crate) differing: Vec<Differing>,
    /// Beyond the limit, in a mapping that is being filled.
    pub(crate) in_flight: u64,
    /// Beyond the limit, or with a key that cannot be asked for: nothing is known about them.
    pub(crate) unjudged: u64,
    /// Rows of the destination with a key that Postgres cannot hold: no row of the source ever became one of them.
    pub(crate) impossible: u64,
    /// Places at which something is not judged.
    pub(crate) unjudged_places: BTreeSet<Location>,
    /// Whether something is not judged that may be at any place.
    pub(crate) unjudged_anywhere: bool,
    /// Rows that the source could not give.
    pub(crate) unreadable: Unreadable,
}

/// Compares one mapping. `sides.source` is in a snapshot. At most `limit` differing keys are returned.
pub(crate) async fn compare_all<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    scope: Scope<'_>,
    limit: usize,
    progress: &Progress,
) -> Result<FirstPass, VerifyError> {
    match compare(sides, mapping, scope, Unreadable::default(), limit, progress).await {
        Err(error) if error.may_be_of_row() => {
            storage::go_on(sides.source).await?;
            if !fits_its_table(sides.source, mapping).await? {
                return Err(error);
            }
        }
        compared => return compared,
    }
    let unreadable = Unreadable::find(sides.source, sides.whose, mapping, scope).await?;
    compare(sides, mapping, scope, unreadable, limit, progress).await
}

async fn compare<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    mapping: &Mapping,
    scope: Scope<'_>,
    unreadable: Unreadable,
    limit: usize,
    progress: &Progress,
) -> Result<FirstPass, VerifyError> {
    let shape = Shape::of(mapping);
    let filled = storage::is_filled(sides.source, mapping, &sides.destination.id(), sides.whose).await?;
    let sql = sides.whose.rows(mapping, scope, Part::Without(&unreadable.positions));
    let mut source = SourceRows::open(sides.source, &sql, &shape).await?;
    let mut destination = pin!(sides.destination.rows(mapping, scope));
    let mut merge = Merge::new(&shape);
    let mut pass = FirstPass { unreadable, ..FirstPass::default() };
    loop {
        // The source comes first: while it sorts, no stream of the destination waits for its reader.
        while let Some(side) = merge.wants() {
            let (row, count) = match side {
                Side::Source => (source.next().await?, &mut pass.source_rows),
                Side::Destination => (destination.try_next().await?, &mut pass.destination_rows),
            };
            *count += u64::from(row.is_some());
            merge.give(side, row).map_err(|found| VerifyError::out_of_order(mapping.name.as_str(), found.0))?;
        }
        let Some(meeting) = merge.meet() else { break };
        pass.take(&meeting, &shape, filled, limit);
        if pass.source_rows.is_multiple_of(ROWS_PER_STEP) || pass.destination_rows.is_multiple_of(ROWS_PER_STEP) {
            progress.rows(pass.source_rows, pass.destination_rows);
        }
    }
    Ok(pass)
}

impl FirstPass {
    /// Adds what was found elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        self.source_rows += other.source_rows;
        self.destination_rows += other.destination_rows;
        self.add_where_unlike(other);
    }

    /// Adds what was found where the totals were unlike: its rows are counted already.
    pub(crate) fn add_where_unlike(&mut self, other: Self) {
        self.equal_rows += other.equal_rows;
        self.differing.extend(other.differing);
        self.in_flight += other.in_flight;
        self.unjudged += other.unjudged;
        self.impossible += other.impossible;
        self.unjudged_places.extend(other.unjudged_places);
        self.unjudged_anywhere |= other.unjudged_anywhere;
        self.unreadable.add(other.unreadable);
    }

    fn take(&mut self, meeting: &Meeting<'_>, shape: &Shape, filled: bool, limit: usize) {
        let (kind, row) = match meeting {
            Meeting::Equal => {
                self.equal_rows += 1;
                return;
            }
            Meeting::Missing(row) => (Kind::Missing, row),
            Meeting::Unexpected(row) => (Kind::Unexpected, row),
            Meeting::Different(source, _) => (Kind::Different, source),
        };
        match shape.key(row) {
            // Nothing is known of it but that it is there.
            Some(key) if self.unreadable.keys.contains_key(&key) => {}
            // It may be one of the rows that were left out with others.
            key if kind == Kind::Unexpected && self.unreadable.is_cut => {
                self.unjudged += 1;
                self.unjudged_at(key);
            }
            Some(key) if self.differing.len() < limit => {
                // A key that is twice on one side comes as two meetings; one second look serves both.
                if self.differing.last().is_none_or(|last| last.key != key) {
                    self.differing.push(Differing { key, kind, tenancy: row.tenancy });
                }
            }
            None if kind == Kind::Unexpected && !shape.is_text(row) => {
                self.impossible += 1;
                self.unjudged_anywhere = true;
            }
            key => {
                *(if filled { &mut self.unjudged } else { &mut self.in_flight }) += 1;
                self.unjudged_at(key);
            }
        }
    }

    fn unjudged_at(&mut self, key: Option<Key>) {
        match key {
            Some(key) if self.unjudged_places.len() < MAX_PLACES => {
                self.unjudged_places.insert(key.location);
            }
            _ => self.unjudged_anywhere = true,
        }
    }
}
