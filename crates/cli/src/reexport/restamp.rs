//! Having every row stamped above the floor: touches, which the sequencer works off.

use std::collections::BTreeSet;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::postgres::{TENANCY_TOUCH, touch};
use lockstep_schema::SourceError;
use uuid::Uuid;

use super::Reexport;
use super::scope::Scope;
use crate::error::CliError;

/// Tenancies that are asked about in one statement.
const PAGE: usize = 1_000;

/// More than once, because a tenancy may come to a place of the scope meanwhile. More often, because somebody drops touches.
const ROUNDS: u32 = 5;

/// Returns when no row has a lower number. Asks the rows themselves, not the touches: a sequencer of an older version, or
/// one with other definitions, drops touches that it does not know. False: time is up.
pub(super) async fn all(export: &mut Reexport<'_>, scope: &Scope<'_>, floor: SequenceId) -> Result<bool, CliError> {
    for _ in 0..ROUNDS {
        if !are_touches_done(export, floor).await? {
            return Ok(false);
        }
        if touch_what_is_lower(export, scope, floor).await? == 0 {
            return Ok(true);
        }
    }
    if are_touches_done(export, floor).await? { Err(CliError::NotStampedAgain) } else { Ok(false) }
}

/// Waits until the touches of this floor are worked off.
async fn are_touches_done(export: &mut Reexport<'_>, floor: SequenceId) -> Result<bool, CliError> {
    const LEFT: &str = "SELECT count(*) FROM lockstep.touch WHERE floor = $1";
    loop {
        let left: i64 = export.client.query_one(LEFT, &[&floor.get()]).await.map_err(SourceError::from)?.get(0);
        if left == 0 {
            return Ok(true);
        }
        if !export.patience.pause(|| format!("{left} tenancies or mappings of theirs are being stamped again")).await {
            return Ok(false);
        }
    }
}

/// Writes a touch for each tenancy, or for each of its mappings, with rows that have a lower number. Returns how many.
async fn touch_what_is_lower(export: &Reexport<'_>, scope: &Scope<'_>, floor: SequenceId) -> Result<usize, CliError> {
    let mut written = 0;
    for page in scope.tenancies.chunks(PAGE) {
        let ids: Vec<Uuid> = page.iter().map(TenancyId::as_uuid).collect();
        let mut whole = BTreeSet::new();
        for mapping in &scope.mappings {
            let sql = touch::not_stamped_since(mapping);
            let rows = export.client.query(&sql, &[&ids, &floor.get()]).await.map_err(SourceError::from)?;
            let found: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
            if scope.all_mappings {
                whole.extend(found);
            } else {
                written += record(export, &touch::mapping_target(mapping), &found, floor).await?;
            }
        }
        written += record(export, TENANCY_TOUCH, &whole, floor).await?;
    }
    Ok(written)
}

async fn record(
    export: &Reexport<'_>,
    target: &str,
    tenancies: &BTreeSet<Uuid>,
    floor: SequenceId,
) -> Result<usize, CliError> {
    const RECORD: &str =
        "INSERT INTO lockstep.touch (target, tenancy_id, floor) SELECT $1, t.id, $3 FROM unnest($2::uuid[]) AS t(id)";
    if tenancies.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = tenancies.iter().copied().collect();
    export.client.execute(RECORD, &[&target, &ids, &floor.get()]).await.map_err(SourceError::from)?;
    Ok(ids.len())
}
