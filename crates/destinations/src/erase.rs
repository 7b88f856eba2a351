//! Taking rows away from a destination for good (ERASE-1).

use std::collections::HashMap;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::StaleAt;
use lockstep_mappings::postgres::compare::Key;

use crate::error::DestinationError;

/// Rows and tombstones of one mapping with a number up to a bound. Which of them is said beside it.
#[derive(Clone, Copy, Debug)]
pub struct Removal<'a> {
    /// Whose rows.
    pub mapping: &'a Mapping,
    /// Rows with higher numbers stay: they came later, and belong to somebody.
    pub up_to: SequenceId,
}

/// Places that one statement names at most: ClickHouse parses 256 KiB of it.
pub const PLACES_PER_STATEMENT: usize = 500;

/// What a clean-up found in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OldTombstones {
    /// Those that can go.
    pub tombstones: u64,
    /// All rows there are, every version.
    pub rows: u64,
}

/// The answer of a destination.
type Answer<T> = Result<T, DestinationError>;

/// A destination that takes rows away, with every version and tombstone of them. Whatever removes returns when it is
/// done, and can be asked for again whenever it failed.
///
/// # Errors
/// Every method fails with what the destination says.
#[allow(clippy::missing_errors_doc, reason = "they all fail for the same reason, which the trait tells")]
pub trait Erase: Send + Sync {
    /// How many removals of a mapping's rows the destination still works on: it goes on with them when nobody waits.
    fn removals_under_way(&self, mapping: &Mapping) -> impl Future<Output = Answer<u64>> + Send;

    /// How many rows there are at each of these places. Places without any are left out.
    fn count_at(
        &self,
        removal: Removal<'_>,
        places: &[Location],
    ) -> impl Future<Output = Answer<HashMap<Location, u64>>> + Send;

    /// Removes everything at these places.
    fn remove_at(&self, removal: Removal<'_>, places: &[Location]) -> impl Future<Output = Answer<()>> + Send;

    /// The next `limit` keys at a place, each with the number of its rows.
    fn keys_at(
        &self,
        removal: Removal<'_>,
        place: &Location,
        after: Option<&Key>,
        limit: usize,
    ) -> impl Future<Output = Answer<Vec<(Key, u64)>>> + Send;

    /// How many rows these keys have.
    fn count_keys(&self, removal: Removal<'_>, keys: &[Key]) -> impl Future<Output = Answer<u64>> + Send;

    /// Removes everything with these keys.
    fn remove_keys(&self, removal: Removal<'_>, keys: &[Key]) -> impl Future<Output = Answer<()>> + Send;

    /// How many cursors these tenancies have up to a number.
    fn count_cursors(
        &self,
        tenancies: &[TenancyId],
        up_to: SequenceId,
    ) -> impl Future<Output = Answer<HashMap<TenancyId, u64>>> + Send;

    /// Removes their cursors up to a number.
    fn remove_cursors(&self, tenancies: &[TenancyId], up_to: SequenceId) -> impl Future<Output = Answer<()>> + Send;

    /// Hides what is shown there with a number below the floor of a fill: the source no longer has it. Returns how many rows
    /// that were. No more places are left out than one statement names ([`PLACES_PER_STATEMENT`]).
    fn remove_stale(
        &self,
        mapping: &Mapping,
        floor: SequenceId,
        at: StaleAt<'_>,
    ) -> impl Future<Output = Answer<u64>> + Send;

    /// The destination's clock, in milliseconds since 1970: the one by which its rows are said to have come.
    fn now_ms(&self) -> impl Future<Output = Answer<i64>> + Send;

    /// How many tombstones of a mapping came before that moment.
    fn old_tombstones(&self, mapping: &Mapping, before_ms: i64) -> impl Future<Output = Answer<OldTombstones>> + Send;

    /// Drops tombstones that came before that moment, and every row that they hide. Returns `false` when nothing was
    /// dropped, because not all of the table could be rewritten.
    ///
    /// The caller knows that no row with a lower number than such a tombstone is still to come.
    fn drop_tombstones(&self, mapping: &Mapping, before_ms: i64) -> impl Future<Output = Answer<bool>> + Send;
}
