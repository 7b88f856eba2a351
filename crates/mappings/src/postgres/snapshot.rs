//! The base: rows that were there before capture, read in physical order and shipped as version 0.

use super::names::{FLAG_COLUMN, capture_columns, tenancy_table};
use super::quote::table;
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

/// The base rows of a range as binary `COPY`, laid out as [`super::fetch::page`] lays them out, with sequence 0.
///
/// A row leaves the base with its first change, and any update of a base row flags it, so a base row never moves to
/// another block unless the whole table is rewritten: whoever reads must check that it was not.
pub fn range(mapping: &Mapping, range: BlockRange) -> String {
    let (sequence, flag) = capture_columns("s");
    format!(
        "COPY (\nSELECT t.\"id\", t.\"projectId\", t.\"branchId\", {columns}, 0::int8 AS sync_sequence_id, 0::int2 AS sync_is_deleted\nFROM {source} s\n  JOIN {tenancies} t ON {belongs}{joins}\nWHERE s.ctid >= '({first},0)'::tid AND s.ctid < '({end},0)'::tid AND {sequence} IS NULL AND NOT {flag}{filter}\n) TO STDOUT (FORMAT binary)",
        columns = row::select_list(mapping, "s"),
        source = table(&mapping.source),
        tenancies = table(&tenancy_table()),
        belongs = row::belongs(mapping, "s"),
        joins = row::joins(mapping, "s"),
        first = range.first,
        end = range.end,
        filter = row::and_filter(mapping, "s"),
    )
}

/// Hands the base rows of a range to the stream: flagged, they get numbers and are shipped row by row. For blocks with a
/// row that the destination refuses. All mappings of the table lose these rows from their base, and get them by the stream.
pub fn hand_over(mapping: &Mapping, range: BlockRange) -> String {
    let (sequence, flag) = capture_columns("s");
    format!(
        "UPDATE {source} s SET \"{FLAG_COLUMN}\" = TRUE\nWHERE s.ctid >= '({first},0)'::tid AND s.ctid < '({end},0)'::tid AND {sequence} IS NULL AND NOT {flag}",
        source = table(&mapping.source),
        first = range.first,
        end = range.end,
    )
}
