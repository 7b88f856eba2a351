//! What a pass has done so far.

use std::collections::BTreeMap;

use crate::plan::news::News;
use crate::storage::lanes::Stamped;

/// Gathered over all statements of a pass, used when it ends.
#[derive(Default)]
pub(super) struct Tally<'a> {
    /// Rows by table.
    pub(super) rows: BTreeMap<&'a str, i64>,
    /// The highest number.
    pub(super) last: Option<i64>,
    /// For the outbox.
    pub(super) news: News,
    /// Touches that were ended.
    pub(super) finished_touches: usize,
    /// Whether more waits than fitted into the pass.
    pub(super) more: bool,
    /// Whether a lane was left out, or not all of its rows have a number: no fence may be answered.
    pub(super) incomplete: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn add(&mut self, table: &'a str, stamped: &Stamped) {
        if stamped.rows == 0 {
            return;
        }
        *self.rows.entry(table).or_default() += stamped.rows;
        self.last = self.last.max(stamped.last);
        for (tenancy, mappings) in &stamped.news {
            self.news.add(*tenancy, mappings);
        }
    }

    pub(super) fn stamped_rows(&self) -> i64 {
        self.rows.values().sum()
    }
}
