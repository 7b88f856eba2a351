//! Emptying a tenant's database of what Lockstep wrote there.

use std::collections::BTreeMap;

use lockstep_core::MappingName;
use lockstep_mappings::Mapping;
use lockstep_mappings::tenant::{self, Shape};

use super::Postgres;
use super::connection::Trouble;
use super::tables::parse;
use crate::error::DestinationError;

/// Rows that one transaction deletes: the tenant's triggers and foreign keys take part in it.
const ROWS_AT_ONCE: u32 = 20_000;

pub(super) async fn all(
    to: &Postgres,
    mappings: &[&Mapping],
    drop_tables: bool,
) -> Result<BTreeMap<MappingName, u64>, DestinationError> {
    super::states::read(to, &[]).await?;
    // First the cursors: what is under way is not written any more, and nothing that is gone could seem to be there.
    let mut forgetting = vec![tenant::lock()];
    forgetting.extend(mappings.iter().flat_map(|mapping| tenant::forget(mapping)));
    to.transaction(&forgetting).await?;
    let mut removed = BTreeMap::new();
    for mapping in mappings {
        let found = parse(to.transaction(&[tenant::find(mapping)]).await?.first());
        let is_ours = found.as_ref().is_some_and(|found| !matches!(tenant::judge(mapping, found), Shape::Misfit(_)));
        if !is_ours {
            continue;
        }
        removed.insert(mapping.name.clone(), empty(to, mapping).await?);
        if drop_tables {
            to.transaction(&[format!("DROP TABLE IF EXISTS {}", tenant::table(mapping))]).await?;
        }
    }
    if drop_tables {
        let mut dropping = vec![tenant::lock()];
        dropping.extend(tenant::drop_ours());
        to.transaction(&dropping).await?;
    }
    Ok(removed)
}

/// Deletes all rows of a table. Returns how many there were.
async fn empty(to: &Postgres, mapping: &Mapping) -> Result<u64, Trouble> {
    let mut removed = 0;
    loop {
        let answers = to.transaction(&[tenant::lock(), tenant::delete_some(mapping, ROWS_AT_ONCE)]).await?;
        match answers.last().map_or(0, |answer| answer.count) {
            0 => return Ok(removed),
            rows => removed += rows,
        }
    }
}
