//! Exporting all rows of some tenancies again, through the stream.

use lockstep_core::TenancyId;
use lockstep_destinations::{ClickHouse, Erase};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::StaleAt;
use lockstep_mappings::postgres::Target;
use lockstep_schema::fills;
use lockstep_schema::quarantine::are_refused;
use lockstep_schema::resyncs::{self, Resync};
use tokio_postgres::Client;

use super::Exported;
use crate::DESTINATION;
use crate::backlog::{fence, late, uuids};
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
    let (client, control, destination) = (&deployment.client, deployment.control()?, DESTINATION.into());
    for tenancy in named {
        must_exist(client, *tenancy).await?;
    }
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    // Rows in ClickHouse do not say whose they are, only where. So all tenancies that are where one that was named is, or
    // was, are exported again together: then a row there that nobody exported is nobody's.
    let places = places(client, named).await?;
    let tenancies = living_at(client, &places).await?;
    let Resync { id, floor, is_continued } = resyncs::begin(control, &destination, named, &names).await?;
    if is_continued {
        waiting.tell(&format!("Continuing what was begun at sequence {floor}."));
    }
    expand(client, mappings, &tenancies).await?;
    let up_to = fence(control, waiting).await?;
    loop {
        let late = late(deployment, clickhouse, &tenancies, up_to).await?;
        if late.is_empty() {
            break;
        }
        let each: Vec<_> = late.iter().map(|(name, count)| format!("{name} of {count} tenancies")).collect();
        waiting.pause(|| format!("{} on the way", each.join(", "))).await?;
    }
    // A row that was refused is in the destination with its old number, if at all: it must not be taken for a stale one.
    if are_refused(control, &destination, &names, &tenancies).await? {
        return Err(Unfinished::RowsRefused { of: "the tenants that were exported" }.into());
    }
    let filling: Vec<_> = fills::unfinished(control, &destination, &names).await?.into_iter().collect();
    if !filling.is_empty() {
        return Err(Unfinished::NotFilled(filling.join(", ")).into());
    }
    let mut stale_rows = 0;
    for mapping in mappings {
        let stale = clickhouse.remove_stale(mapping, floor, StaleAt::These(&places)).await?;
        if stale > 0 {
            waiting.tell(&format!("{}: {stale} rows were in ClickHouse alone, and are removed.", mapping.name));
        }
        stale_rows += i64::try_from(stale).unwrap_or(i64::MAX);
    }
    resyncs::finish(control, id, stale_rows).await?;
    Ok(Exported { tenancies: Some(tenancies.len()), floor: Some(floor.get()), stale_rows })
}

/// Asks for a change of every row.
async fn expand(client: &Client, mappings: &[&Mapping], tenancies: &[TenancyId]) -> Result<(), OperationError> {
    const EXPAND: &str = "
INSERT INTO lockstep.expansion (target, tenancy_id) SELECT m, t FROM unnest($1::int[]) AS m CROSS JOIN unnest($2::uuid[]) AS t";
    let targets: Vec<i32> = mappings.iter().map(|mapping| Target::all_rows(mapping).id()).collect();
    client.execute(EXPAND, &[&targets, &uuids(tenancies)]).await?;
    Ok(())
}
