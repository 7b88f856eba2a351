//! Fills: the rows of a mapping that are there, read in physical order and shipped as version F, a number that was drawn
//! before the first of them was read.

use lockstep_core::SequenceId;

use super::names::{table, tenancy_table};
use super::row;
use crate::mapping::Mapping;

/// A range of heap blocks: `first` included, `end` excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockRange {
    /// Counted from 0.
    pub first: u32,
    /// One past the last.
    pub end: u32,
}

/// The condition that the row `alias` lies in a range of blocks.
pub(super) fn in_range(alias: &str, range: BlockRange) -> String {
    format!("{alias}.ctid >= '({},0)'::tid AND {alias}.ctid < '({},0)'::tid", range.first, range.end)
}

/// The rows of a range as binary `COPY`, laid out as [`super::fetch::page`] lays them out, with the version `floor`.
///
/// A row may move to a block that was read before, and so be in no range: whoever fills has the rows written meanwhile
/// exported once more at the end. Whoever reads must check that the whole table was not rewritten.
pub fn range(mapping: &Mapping, range: BlockRange, floor: SequenceId) -> String {
    format!(
        "COPY (\nSELECT t.\"id\", t.\"projectId\", t.\"branchId\", {columns}, {floor}::int8 AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {source} s\n  JOIN {tenancies} t ON {belongs}{joins}\nWHERE {here} AND {lives_there}{filter}\n) TO STDOUT (FORMAT binary)",
        columns = row::select_list(mapping, "s"),
        source = table(&mapping.source),
        tenancies = table(&tenancy_table()),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        here = in_range("s", range),
        lives_there = super::fetch::lives_there("t"),
        filter = row::and_filter(mapping, "s"),
    )
}
