//! Where tenancies are, and where they were.

use std::collections::{HashMap, HashSet};

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::codec::RowHead;
use lockstep_mappings::postgres::fetch;
use lockstep_schema::SourceError;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// Where one tenancy's rows belong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TenancyLocations {
    pub(crate) now: Location,
    /// Where it was before; whatever changed since it left must vanish there.
    pub(crate) former: Vec<Location>,
}

/// The tenancies that exist, among those that were asked for.
#[derive(Default, Debug)]
pub(crate) struct LocationsByTenancy(HashMap<TenancyId, TenancyLocations>);

impl LocationsByTenancy {
    /// Adds one row of the lookup: a tenancy with one of its former locations, if it has any.
    pub(crate) fn add(&mut self, tenancy: TenancyId, now: Location, former: Option<Location>) {
        let locations = self.0.entry(tenancy).or_insert_with(|| TenancyLocations { now, former: Vec::new() });
        locations.former.extend(former);
    }

    pub(crate) fn get(&self, tenancy: TenancyId) -> Option<&TenancyLocations> {
        self.0.get(&tenancy)
    }

    /// All places where they are now.
    pub(crate) fn places(self) -> Vec<Location> {
        self.0.into_values().map(|of| of.now).collect()
    }

    /// Forgets all others.
    pub(crate) fn keep_only(&mut self, living: &HashSet<TenancyId>) {
        self.0.retain(|tenancy, _| living.contains(tenancy));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether a row says that it belongs there.
pub(crate) fn is_at(head: &RowHead<'_>, location: &Location) -> bool {
    head.project_id == location.project_id.as_bytes() && head.branch_id == location.branch_id.as_bytes()
}

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

pub(super) fn locations(rows: &[Row]) -> Result<LocationsByTenancy, SourceError> {
    let mut locations = LocationsByTenancy::default();
    for row in rows {
        let now = Location { project_id: row.try_get(1)?, branch_id: row.try_get(2)? };
        let former: (Option<String>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
        let former = former.0.zip(former.1).map(|(project_id, branch_id)| Location { project_id, branch_id });
        locations.add(TenancyId::new(row.try_get(0)?), now, former);
    }
    Ok(locations)
}

/// Looks tenancies up outside of any flush.
pub(crate) async fn look_up(client: &Client, tenancies: &[TenancyId]) -> Result<LocationsByTenancy, SourceError> {
    locations(&client.query(&look_up_sql(), &[&uuids(tenancies)]).await?)
}
