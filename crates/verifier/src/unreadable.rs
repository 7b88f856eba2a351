//! Rows that the source cannot give: an expression that overflows, a text beyond what Postgres can send. A statement that
//! reads them with others fails as a whole. They are found by reading ever smaller parts of their table, in the snapshot of
//! the first pass, which then compares all others.

use std::collections::BTreeMap;

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
/// Rows of one mapping that are looked for: where there are more, it is the definition that does not fit, and all other rows
/// are not compared either.
const MAX_ROWS: usize = 1000;

/// Rows of one mapping that cannot be read.
#[derive(Default, Debug)]
pub(crate) struct Unreadable {
    /// Where each is.
    pub(crate) positions: Vec<Positions>,
    /// The key of each, and whose it is.
    pub(crate) keys: BTreeMap<Key, TenancyId>,
}

impl Unreadable {
    /// Whether there may be others.
    pub(crate) fn is_cut(&self) -> bool {
        self.positions.len() >= MAX_ROWS
    }

    /// Looks for them. `source` is in the snapshot that has to be read.
    pub(crate) async fn find(
        source: &Client,
        whose: Whose,
        mapping: &Mapping,
        scope: Scope<'_>,
    ) -> Result<Self, VerifyError> {
        let shape = Shape::of(mapping);
        let mut found = Self::default();
        let mut left = Positions::of_blocks(storage::blocks(source, mapping).await?).split(PARTS);
        while let Some(part) = left.pop().filter(|_| !found.is_cut()) {
            match read(source, &whose.rows(mapping, scope, Part::Range(&part)), &shape).await {
                Ok(()) => continue,
                Err(error) if error.is_of_row() => storage::go_on(source).await?,
                Err(error) => return Err(error),
            }
            let parts = part.split(PARTS);
            if parts.is_empty() {
                let keys = storage::keys_at(source, mapping, &part).await?;
                found.keys.extend(keys.into_iter().map(|(key, tenancy)| (whose.key(key), tenancy)));
                found.positions.push(part);
            }
            left.extend(parts);
        }
        Ok(found)
    }
}

/// Reads rows, and forgets them.
async fn read(source: &Client, sql: &str, shape: &Shape) -> Result<(), VerifyError> {
    let mut rows = SourceRows::open(source, sql, shape).await?;
    while rows.next().await?.is_some() {}
    Ok(())
}
