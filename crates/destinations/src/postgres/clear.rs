//! Emptying a tenant's database of what Lockstep wrote there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lockstep_core::MappingName;
use lockstep_mappings::Mapping;
use lockstep_mappings::tenant::{self, Shape};

use super::Postgres;
use super::connection::Trouble;
use super::tables::parse;
use crate::error::{DestinationError, Failure};

/// Rows that one transaction deletes: the tenant's triggers and foreign keys take part in it.
const ROWS_AT_ONCE: u32 = 20_000;
/// A table that is not empty by then never is: something puts rows back.
const EMPTY_WITHIN: Duration = Duration::from_secs(240);

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
    let (mut removed, mut kept) = (BTreeMap::new(), Vec::new());
    for mapping in mappings {
        let found = parse(to.transaction(&[tenant::find(mapping)]).await?.first());
        let Some(found) = found else { continue };
        if matches!(tenant::judge(mapping, &found), Shape::Misfit(_)) {
            // It may hold rows of ours, and may be the tenant's own: nothing is removed, and nobody is told that it was.
            kept.push(mapping.name.as_str());
            continue;
        }
        removed.insert(mapping.name.clone(), empty(to, mapping).await?);
        if drop_tables {
            to.transaction(&[format!("DROP TABLE IF EXISTS {}", tenant::table(mapping))]).await?;
        }
    }
    if !kept.is_empty() {
        let text = format!("tables are not as Lockstep has made them, and are not emptied: {}", kept.join(", "));
        return Err(to.error(Failure::Misconfigured, text));
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
    let (began, mut removed) = (Instant::now(), 0);
    loop {
        let answers = to.transaction(&[tenant::lock(), tenant::delete_some(mapping, ROWS_AT_ONCE)]).await?;
        match answers.last().map_or(0, |answer| answer.count) {
            0 => break,
            rows => removed += rows,
        }
        if began.elapsed() > EMPTY_WITHIN {
            return Err(to.error(Failure::Unavailable, "its rows were not removed in time").into());
        }
    }
    // A trigger of the tenant's may have kept some.
    let left = format!("SELECT 1 FROM {} LIMIT 1", tenant::table(mapping));
    if to.transaction(&[left]).await?.last().is_some_and(|answer| !answer.rows.is_empty()) {
        return Err(to
            .error(Failure::Misconfigured, "rows stay in one of its tables although they were deleted")
            .into());
    }
    Ok(removed)
}
