//! Looking tenancies up.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::postgres::{table, tenancies_ever_at, tenancy_table};
use tokio_postgres::{Client, Row};

use crate::backlog::uuids;
use crate::error::OperationError;

/// Whether the tenancy is in the source.
pub(crate) async fn exists(client: &Client, tenancy: TenancyId) -> Result<bool, OperationError> {
    let sql = format!("SELECT 1 FROM {} t WHERE t.\"id\" = $1", table(&tenancy_table()));
    Ok(client.query_opt(&sql, &[&tenancy.as_uuid()]).await?.is_some())
}

/// Fails unless the tenancy is in the source.
pub(crate) async fn must_exist(client: &Client, tenancy: TenancyId) -> Result<(), OperationError> {
    if exists(client, tenancy).await? { Ok(()) } else { Err(OperationError::UnknownTenancy(tenancy)) }
}

/// Where these tenancies are, and where they were.
pub(crate) async fn places(client: &Client, tenancies: &[TenancyId]) -> Result<Vec<Location>, OperationError> {
    let sql = format!(
        "SELECT t.\"projectId\", t.\"branchId\" FROM {} t WHERE t.\"id\" = ANY($1::uuid[])
UNION SELECT l.project_id, l.branch_id FROM lockstep.tenancy_location l WHERE l.tenancy_id = ANY($1::uuid[])",
        table(&tenancy_table())
    );
    let rows = client.query(&sql, &[&uuids(tenancies)]).await?;
    Ok(rows.iter().map(|row| Location { project_id: row.get(0), branch_id: row.get(1) }).collect())
}

/// The tenancies that live at these places.
pub(crate) async fn living_at(client: &Client, places: &[Location]) -> Result<Vec<TenancyId>, OperationError> {
    let sql = format!(
        "SELECT DISTINCT t.\"id\" FROM unnest($1::text[], $2::text[]) AS p(project_id, branch_id)
JOIN {} t ON t.\"projectId\" = p.project_id AND t.\"branchId\" = p.branch_id ORDER BY 1",
        table(&tenancy_table())
    );
    let (projects, branches) = columns(places);
    let rows = client.query(&sql, &[&projects, &branches]).await?;
    Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
}

/// The tenancies that live at these places, or have lived there.
pub(crate) async fn ever_at(client: &Client, places: &[Location]) -> Result<Vec<TenancyId>, OperationError> {
    let (projects, branches) = columns(places);
    let rows = client.query(&tenancies_ever_at(), &[&projects, &branches]).await?;
    Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
}

/// Where those of these tenancies are that exist.
pub(crate) async fn locations(
    client: &Client,
    tenancies: &[TenancyId],
) -> Result<BTreeMap<TenancyId, Location>, OperationError> {
    let sql = format!(
        "SELECT t.\"id\", t.\"projectId\", t.\"branchId\" FROM {} t WHERE t.\"id\" = ANY($1::uuid[])",
        table(&tenancy_table())
    );
    let rows = client.query(&sql, &[&uuids(tenancies)]).await?;
    let location = |row: &Row| Location { project_id: row.get(1), branch_id: row.get(2) };
    Ok(rows.iter().map(|row| (TenancyId::new(row.get(0)), location(row))).collect())
}

/// Those of these places where a tenancy lives.
pub(crate) async fn inhabited(client: &Client, places: &[Location]) -> Result<BTreeSet<Location>, OperationError> {
    let sql = format!(
        "SELECT p.project_id, p.branch_id FROM unnest($1::text[], $2::text[]) AS p(project_id, branch_id)
WHERE EXISTS (SELECT 1 FROM {} t WHERE t.\"projectId\" = p.project_id AND t.\"branchId\" = p.branch_id)",
        table(&tenancy_table())
    );
    let (projects, branches) = columns(places);
    let rows = client.query(&sql, &[&projects, &branches]).await?;
    Ok(rows.iter().map(|row| Location { project_id: row.get(0), branch_id: row.get(1) }).collect())
}

/// Places as two arrays.
fn columns(places: &[Location]) -> (Vec<&str>, Vec<&str>) {
    places.iter().map(|place| (place.project_id.as_str(), place.branch_id.as_str())).unzip()
}
