//! Rows that the source cannot give: an expression that overflows, a text beyond what Postgres can send. A statement that
//! reads them with others fails as a whole. They are found by reading ever smaller parts of their table, in the snapshot of
//! the first pass, which then compares all others.

use std::collections::{BTreeMap, VecDeque};

use lockstep_core::TenancyId;
use lockstep_destinations::compare::Shape;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{Key, Part, Positions, Scope};
use tokio_postgres::Client;

use crate::error::VerifyError;
use crate::source_rows::SourceRows;
use crate::storage;
use crate::whose::Whose;

/// Into so many parts a part that cannot be read is cut. In halves the number of reads that fail would be larger, and those
/// take long where a text is.
const PARTS: u64 = 16;
/// Rows of one mapping that are looked for one by one. Where there are more, the others are left out with whole parts of the table.
const MAX_ROWS: usize = 1000;
/// Parts that are read after that, to leave out as little as can be told in bounded time.
const MAX_WIDE_READS: u32 = 500;

/// Rows of one mapping that cannot be read.
#[derive(Default, Debug)]
pub(crate) struct Unreadable {
    /// Where each is; then parts of the table in which there are others.
    pub(crate) positions: Vec<Positions>,
    /// The key of each, and whose it is.
    pub(crate) keys: BTreeMap<Key, TenancyId>,
    /// Whether there are others. Nothing is known of the rows of their parts.
    pub(crate) is_cut: bool,
}

impl Unreadable {
    /// Adds those of another part of the mapping.
    pub(crate) fn add(&mut self, other: Self) {
        self.positions.extend(other.positions);
        self.keys.extend(other.keys);
        self.is_cut |= other.is_cut;
    }

    /// Looks for them. `source` is in the snapshot that has to be read.
    pub(crate) async fn find(
        source: &Client,
        whose: Whose,
        mapping: &Mapping,
        scope: Scope<'_>,
    ) -> Result<Self, VerifyError> {
        let shape = Shape::of(mapping);
        let can_read = async |part: &Positions| -> Result<bool, VerifyError> {
            match read(source, &whose.rows(mapping, scope, Part::Range(part)), &shape).await {
                Ok(()) => Ok(true),
                Err(error) if error.may_be_of_row() => storage::go_on(source).await.map(|()| false),
                Err(error) => Err(error),
            }
        };
        let mut found = Self::default();
        let mut left = VecDeque::from(Positions::of_blocks(storage::blocks(source, mapping).await?).split(PARTS));
        while found.positions.len() < MAX_ROWS {
            let Some(part) = left.pop_back() else { return Ok(found) };
            if can_read(&part).await? {
                continue;
            }
            let parts = part.split(PARTS);
            if parts.is_empty() {
                let keys = storage::keys_at(source, mapping, &part).await?;
                found.keys.extend(keys.into_iter().map(|(key, tenancy)| (whose.key(key), tenancy)));
                found.positions.push(part);
            }
            left.extend(parts);
        }
        for _ in 0..MAX_WIDE_READS {
            let Some(part) = left.pop_front() else { break };
            if can_read(&part).await? {
                continue;
            }
            match part.split(PARTS) {
                parts if parts.is_empty() => found.positions.push(part),
                parts => left.extend(parts),
            }
        }
        found.positions.extend(left);
        found.is_cut = found.positions.len() > MAX_ROWS;
        Ok(found)
    }
}

/// Reads rows, and forgets them.
async fn read(source: &Client, sql: &str, shape: &Shape) -> Result<(), VerifyError> {
    let mut rows = SourceRows::open(source, sql, shape).await?;
    while rows.next().await?.is_some() {}
    Ok(())
}
