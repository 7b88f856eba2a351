//! Parts of a table, by where rows lie in it: for finding rows that cannot be read, and for reading all others.

use std::fmt;
use std::ops::Range;

use super::key_text;
use crate::mapping::Mapping;
use crate::postgres::names::{identifier, table, tenancy_table};
use crate::postgres::row;

/// More rows than a block of the largest size, 32 KiB, has room for.
const ROWS_PER_BLOCK: u64 = 2048;

/// Positions of rows in a table: block by block, within a block by line. They hold within one snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Positions(Range<u64>);

impl Positions {
    /// Every position of a table with this many blocks.
    pub fn of_blocks(blocks: u32) -> Self {
        Self(0..u64::from(blocks) * ROWS_PER_BLOCK)
    }

    /// Cuts them into `parts` at most; none are left where it is a single position.
    pub fn split(&self, parts: u64) -> Vec<Self> {
        let Range { start, end } = self.0;
        let length = (end - start).div_ceil(parts).max(1);
        let cut = |at: u64| Self(at..(at + length).min(end));
        if end - start <= 1 {
            Vec::new()
        } else {
            (start..end).step_by(usize::try_from(length).unwrap_or(usize::MAX)).map(cut).collect()
        }
    }

    const fn is_single(&self) -> bool {
        self.0.end - self.0.start <= 1
    }

    fn condition(&self) -> String {
        format!("s.ctid >= '{}'::tid AND s.ctid < '{}'::tid", Tid(self.0.start), Tid(self.0.end))
    }
}

/// A position as Postgres writes it.
struct Tid(u64);

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.0 / ROWS_PER_BLOCK, self.0 % ROWS_PER_BLOCK)
    }
}

/// Which rows of the source table are read.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All but those at these positions.
    Without(&'a [Positions]),
    /// Those at these positions, in no order.
    Range(&'a Positions),
}

impl Part<'_> {
    pub(super) const fn is_range(self) -> bool {
        matches!(self, Self::Range(_))
    }

    /// The condition that a row `s` is one of these, and inside the filter of its mapping.
    pub(super) fn condition(self, mapping: &Mapping) -> String {
        let filter = row::and_filter(mapping, "s");
        match self {
            Self::Without([]) => format!("TRUE{filter}"),
            // The filter may be what cannot be read of them.
            Self::Without(left_out) => {
                let (single, wide): (Vec<&Positions>, Vec<_>) = left_out.iter().partition(|at| at.is_single());
                let single: Vec<_> = single.iter().map(|at| format!("\"{}\"", Tid(at.0.start))).collect();
                let single = format!("s.ctid = ANY('{{{}}}'::tid[])", single.join(","));
                let wide = wide.iter().map(|at| format!("({})", at.condition()));
                let any: Vec<_> = std::iter::once(single).chain(wide).collect();
                format!("CASE WHEN {} THEN FALSE ELSE TRUE{filter} END", any.join(" OR "))
            }
            Self::Range(positions) => format!("{}{filter}", positions.condition()),
        }
    }
}

/// Tenancies as `t`.
pub(super) fn tenancies() -> String {
    format!("{} t", table(&tenancy_table()))
}

/// Whose the row at a single position is, and its key, as an ordinary query: `project_id`, `branch_id`, the key as canonical
/// text, `tenancy_id uuid`. Nothing else of the row is looked at.
pub fn keys_at(mapping: &Mapping, position: &Positions) -> String {
    let keys = mapping.key_sources().map(|(column, source)| {
        key_text(&format!("(s.{})::{}", identifier(source), column.column_type.base.postgres_cast()))
    });
    format!(
        "SELECT t.\"projectId\", t.\"branchId\", {keys}, t.\"id\" FROM {tenancies} JOIN {source} s ON {belongs} WHERE {there}",
        keys = keys.collect::<Vec<_>>().join(", "),
        tenancies = tenancies(),
        source = table(&mapping.source),
        belongs = row::belongs(mapping, "s"),
        there = position.condition(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_cut_down_to_single_rows() {
        let parts = Positions::of_blocks(5).split(16);
        assert_eq!((&parts[0], &parts[15]), (&Positions(0..640), &Positions(9600..10240)));
        let parts = parts[1].split(16);
        assert_eq!((&parts[0], &parts[15]), (&Positions(640..680), &Positions(1240..1280)));
        let parts = parts[0].split(16);
        assert_eq!((&parts[0], &parts[13], parts.len()), (&Positions(640..643), &Positions(679..680), 14));
        assert_eq!(parts[0].split(16), [640, 641, 642].map(|at| Positions(at..at + 1)));
        assert_eq!(Positions(2049..2050).split(16), []);
        assert_eq!(Positions(2049..2050).condition(), "s.ctid >= '(1,1)'::tid AND s.ctid < '(1,2)'::tid");
        assert_eq!(Positions::of_blocks(0).split(16), []);
    }
}
