//! Whose rows are exported again, and where stale ones are looked for.

use lockstep_core::{Location, MappingName, TenancyId};
use lockstep_mappings::postgres::{table, tenancy_table};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_schema::SourceError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::record::Request;
use crate::backlog::tenancies;
use crate::error::CliError;

/// A request, looked up.
pub(super) struct Scope<'a> {
    pub(super) mappings: Vec<&'a Mapping>,
    /// Whether these are all mappings that there are.
    pub(super) all_mappings: bool,
    /// Every tenancy that has rows at one of the places.
    pub(super) tenancies: Vec<TenancyId>,
    /// Where stale rows may be; none: everywhere.
    pub(super) places: Option<Vec<Location>>,
}

impl<'a> Scope<'a> {
    /// Rows in ClickHouse do not say whose they are, only where. So all tenancies that are where one that was named is, or
    /// was, are exported again together: then a row there that nobody exported is nobody's.
    pub(super) async fn of(client: &Client, set: &'a MappingSet, request: &Request) -> Result<Self, CliError> {
        let is_wanted = |name: &MappingName| request.mappings.as_ref().is_none_or(|wanted| wanted.contains(name));
        let mappings: Vec<_> = set.iter().filter(|mapping| is_wanted(&mapping.name)).collect();
        let all_mappings = mappings.len() == set.iter().count();
        let Some(named) = &request.tenancies else {
            return Ok(Self { mappings, all_mappings, tenancies: tenancies(client, None).await?, places: None });
        };
        for tenancy in named {
            tenancies(client, Some(*tenancy)).await?;
        }
        let places = places(client, named).await?;
        let tenancies = living_at(client, &places).await?;
        Ok(Self { mappings, all_mappings, tenancies, places: Some(places) })
    }
}

/// Where these tenancies are, and where they were.
async fn places(client: &Client, named: &[TenancyId]) -> Result<Vec<Location>, CliError> {
    let sql = format!(
        "SELECT t.\"projectId\", t.\"branchId\" FROM {} t WHERE t.\"id\" = ANY($1::uuid[])
UNION SELECT l.project_id, l.branch_id FROM lockstep.tenancy_location l WHERE l.tenancy_id = ANY($1::uuid[])",
        table(&tenancy_table())
    );
    let ids: Vec<Uuid> = named.iter().map(TenancyId::as_uuid).collect();
    let rows = client.query(&sql, &[&ids]).await.map_err(SourceError::from)?;
    Ok(rows.iter().map(|row| Location { project_id: row.get(0), branch_id: row.get(1) }).collect())
}

async fn living_at(client: &Client, places: &[Location]) -> Result<Vec<TenancyId>, CliError> {
    let sql = format!(
        "SELECT DISTINCT t.\"id\" FROM unnest($1::text[], $2::text[]) AS p(project_id, branch_id)
JOIN {} t ON t.\"projectId\" = p.project_id AND t.\"branchId\" = p.branch_id ORDER BY 1",
        table(&tenancy_table())
    );
    let (projects, branches): (Vec<_>, Vec<_>) =
        places.iter().map(|place| (place.project_id.as_str(), place.branch_id.as_str())).unzip();
    let rows = client.query(&sql, &[&projects, &branches]).await.map_err(SourceError::from)?;
    Ok(rows.iter().map(|row| TenancyId::new(row.get(0))).collect())
}
