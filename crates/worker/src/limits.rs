//! Every limit of a worker, in one place.

use std::time::Duration;

use lockstep_core::settings::DEFAULT_MAX_VALUE_BYTES;
use lockstep_destinations::WriteLimits;
use lockstep_mappings::postgres::fetch::PageLimits;

/// How much is done at once, and how often. The defaults are what was measured to be best on two cores.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that a worker may hold at once: those of the flush under way, and those that gather meanwhile.
    pub prefetch_messages: u16,
    /// Tenancies of one flush. The last message that is merged may exceed it, by 1,000 at most.
    pub flush_tenancies: usize,
    /// Rows of one mapping in one flush. Larger pages are faster, smaller ones let others have their turn sooner (FAIR-1).
    pub page: PageLimits,
    /// Bytes of one mapping in one flush, as they are written. Reading stops there, and the next pages have fewer rows.
    pub page_bytes: u64,
    /// Bytes of one value. A row with a longer one is refused.
    pub max_value_bytes: usize,
    /// How pages are cut when they are written.
    pub write: WriteLimits,
    /// How often cursors are written under a steady load: flushes in between share a write.
    pub cursor_write_every: Duration,
    /// How often a mapping that fails while others succeed is retried at once. After that its messages are requeued with a
    /// delay.
    pub tries_in_hand: u32,
    /// How long a worker that gets nothing through holds its messages. Then it gives them back, for workers that do, and goes
    /// on trying what it has read from them.
    pub give_back_after: Duration,
    /// How often an idle worker checks that source and destination answer.
    pub look_every: Duration,
    /// How often the sweep looks how far the destination has come.
    pub sweep_every: Duration,
    /// How long a cursor that is behind may stand still before its tenancy is announced again.
    pub announce_again_after: Duration,
    /// How often an idle worker looks for ranges to fill.
    pub fill_poll_every: Duration,
    /// How often the janitor looks for tenancies that are gone and for deleted rows; more often where the wait before an erasure
    /// is short.
    pub janitor_every: Duration,
    /// Tenancies that are erased together: a statement rewrites parts of a table, for one tenancy as for many. 20,000 take one
    /// or two statements a table.
    pub erasures_at_once: u32,
    /// How often the janitor looks at a table of the destination for deleted rows.
    pub clean_up_every: Duration,
    /// A table is rewritten when this many of a hundred of its rows are tombstones that can go.
    pub clean_up_percent: u32,
    /// A table with any such tombstone is rewritten when it was not rewritten for this long.
    pub clean_up_at_least_every: Duration,
    /// How often a tenant's tables are looked at while they are written to: one that was altered may take what is written, and
    /// show something else. A mapping that stopped since its table does not fit is looked at again as often.
    pub tenant_tables_look_every: Duration,
    /// How long a flush or a range under way may take after the signal to stop.
    pub stop_within: Duration,
}

impl Limits {
    /// Those of tenants' own databases, whose pages are gathered in memory.
    pub(crate) fn of_tenants(self) -> Self {
        let page = PageLimits { tenancy_rows: 20_000, total_rows: 20_000 };
        // What is gathered is looked at so often.
        let write = WriteLimits { chunk_bytes: 16 * 1024, ..self.write };
        Self { page, write, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            prefetch_messages: 64,
            flush_tenancies: 4096,
            page: PageLimits { tenancy_rows: 100_000, total_rows: 500_000 },
            page_bytes: 256 * 1024 * 1024,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            write: WriteLimits::default(),
            cursor_write_every: Duration::from_millis(100),
            tries_in_hand: 6,
            // Below the consumer timeout of any broker, which is half an hour by default.
            give_back_after: Duration::from_secs(60),
            look_every: Duration::from_secs(30),
            sweep_every: Duration::from_millis(250),
            announce_again_after: Duration::from_secs(60),
            fill_poll_every: Duration::from_secs(1),
            janitor_every: Duration::from_secs(30),
            erasures_at_once: 20_000,
            clean_up_every: Duration::from_secs(60 * 60),
            clean_up_percent: 5,
            clean_up_at_least_every: Duration::from_secs(24 * 60 * 60),
            tenant_tables_look_every: Duration::from_secs(60),
            stop_within: Duration::from_secs(30),
        }
    }
}
