//! Looking tenancies up.

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::postgres::fetch;
use lockstep_schema::SourceError;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::lookup::Residences;

pub(super) fn uuids(tenancies: &[TenancyId]) -> Vec<Uuid> {
    tenancies.iter().map(TenancyId::as_uuid).collect()
}

/// Of the tenancies `$1 uuid[]` where they are, with the id of those that exist, and one row for each other place where they
/// were.
pub(super) fn look_up_sql() -> String {
    format!(
        r#"SELECT w.tenancy_id, t."projectId", t."branchId", l.project_id, l.branch_id
FROM unnest($1::uuid[]) AS w(tenancy_id) CROSS JOIN LATERAL {}
  LEFT JOIN lockstep.tenancy_location l ON l.tenancy_id = w.tenancy_id AND (l.project_id, l.branch_id) <> (t."projectId", t."branchId")"#,
        fetch::tenancy_lookup()
    )
}

pub(super) fn residences(rows: &[Row]) -> Result<Residences, SourceError> {
    let mut residences = Residences::default();
    for row in rows {
        let now = Location { project_id: row.try_get(1)?, branch_id: row.try_get(2)? };
        let former: (Option<String>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
        let former = former.0.zip(former.1).map(|(project_id, branch_id)| Location { project_id, branch_id });
        residences.add(TenancyId::new(row.try_get(0)?), now, former);
    }
    Ok(residences)
}

/// Looks tenancies up outside of any flush.
///
/// # Errors
/// When Postgres cannot be asked.
pub(crate) async fn look_up(client: &Client, tenancies: &[TenancyId]) -> Result<Residences, SourceError> {
    residences(&client.query(&look_up_sql(), &[&uuids(tenancies)]).await?)
}
