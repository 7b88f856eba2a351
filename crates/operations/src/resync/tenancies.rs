//! Exporting all rows of some tenancies again, through the stream.

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{ClickHouse, Erase};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::Target;
use tokio_postgres::Client;
use uuid::Uuid;

use super::Exported;
use crate::DESTINATION;
use crate::backlog::{fence, filling, late, uuids};
use crate::deployment::Deployment;
use crate::error::{OperationError, Unfinished};
use crate::progress::Waiting;
use crate::tenancies::{living_at, must_exist, places};

/// Exports all rows of the tenancies that were named, or goes on with that.
pub(super) async fn export(
    deployment: &Deployment<'_>,
    clickhouse: &ClickHouse,
    mappings: &[&Mapping],
    named: &[TenancyId],
    waiting: &mut Waiting<'_>,
) -> Result<Exported, OperationError> {
    let client = &deployment.client;
    for tenancy in named {
        must_exist(client, *tenancy).await?;
    }
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    // Rows in ClickHouse do not say whose they are, only where. So all tenancies that are where one that was named is, or
    // was, are exported again together: then a row there that nobody exported is nobody's.
    let places = places(client, named).await?;
    let tenancies = living_at(client, &places).await?;
    let (id, floor) = begin(client, &names, named, waiting).await?;
    expand(client, mappings, &tenancies).await?;
    let up_to = fence(deployment.control()?, waiting).await?;
    loop {
        let late = late(deployment, clickhouse, &tenancies, up_to).await?;
        if late.is_empty() {
            break;
        }
        let each: Vec<_> = late.iter().map(|(name, count)| format!("{name} of {count} tenancies")).collect();
        waiting.pause(|| format!("{} on the way", each.join(", "))).await?;
    }
    if are_refused(client, &names, &tenancies).await? {
        return Err(Unfinished::RowsRefused.into());
    }
    let filling = filling(client, &names).await?;
    if !filling.is_empty() {
        return Err(Unfinished::NotFilled(filling.join(", ")).into());
    }
    let mut stale_rows = 0;
    for mapping in mappings {
        let stale = clickhouse.remove_stale(mapping, floor, Some(&places)).await?;
        if stale > 0 {
            waiting.tell(&format!("{}: {stale} rows were in ClickHouse alone, and are removed.", mapping.name));
        }
        stale_rows += i64::try_from(stale).unwrap_or(i64::MAX);
    }
    let finish = "UPDATE lockstep.resync SET finished_at = now(), stale_rows = $2 WHERE id = $1";
    client.execute(finish, &[&id, &stale_rows]).await?;
    Ok(Exported { tenancies: Some(tenancies.len()), floor: Some(floor.get()), stale_rows })
}

/// Draws the floor and writes the request down, or goes on with the same one. Tenancies are compared in order and without
/// repetition, so that the same request is found again.
async fn begin(
    client: &Client,
    mappings: &[&str],
    named: &[TenancyId],
    waiting: &mut Waiting<'_>,
) -> Result<(i64, SequenceId), OperationError> {
    const SAME: &str = "
SELECT id, floor FROM lockstep.resync WHERE finished_at IS NULL AND purpose = 'resync' AND destination = $1
  AND tenancies = $2::uuid[] AND mappings = $3::text[] ORDER BY id DESC LIMIT 1";
    const NEW: &str = "
INSERT INTO lockstep.resync (purpose, destination, tenancies, mappings, floor) VALUES ('resync', $1, $2, $3, nextval('lockstep.sequence')) RETURNING id, floor";
    let mut ids: Vec<Uuid> = uuids(named);
    ids.sort_unstable();
    ids.dedup();
    let row = match client.query_opt(SAME, &[&DESTINATION, &ids, &mappings]).await? {
        Some(row) => {
            waiting.tell(&format!("Continuing what was begun at sequence {}.", row.get::<_, i64>(1)));
            row
        }
        None => client.query_one(NEW, &[&DESTINATION, &ids, &mappings]).await?,
    };
    Ok((row.get(0), SequenceId::new(row.get(1))))
}

/// Asks for a change of every row.
async fn expand(client: &Client, mappings: &[&Mapping], tenancies: &[TenancyId]) -> Result<(), OperationError> {
    const EXPAND: &str = "
INSERT INTO lockstep.expansion (target, tenancy_id) SELECT m, t FROM unnest($1::int[]) AS m CROSS JOIN unnest($2::uuid[]) AS t";
    let targets: Vec<i32> = mappings.iter().map(|mapping| Target::all_rows(mapping).id()).collect();
    client.execute(EXPAND, &[&targets, &uuids(tenancies)]).await?;
    Ok(())
}

/// A row that was refused is in the destination with its old number, if at all: it must not be taken for a stale one.
async fn are_refused(client: &Client, mappings: &[&str], tenancies: &[TenancyId]) -> Result<bool, OperationError> {
    const REFUSED: &str = "SELECT EXISTS (SELECT 1 FROM lockstep.quarantine WHERE destination = $1 AND mapping_name = ANY($2) AND tenancy_id = ANY($3::uuid[]))";
    Ok(client.query_one(REFUSED, &[&DESTINATION, &mappings, &uuids(tenancies)]).await?.get(0))
}
