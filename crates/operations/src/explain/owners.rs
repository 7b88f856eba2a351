//! Who has or had a key: looked for in the source, in ClickHouse, in what has no number yet, and in the quarantine.

use lockstep_core::{Location, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::clickhouse::places_of_key;
use lockstep_mappings::postgres::explain;
use lockstep_schema::{SourceError, SqlStateKind};
use uuid::Uuid;

use super::held::answered;
use super::placed::{Placed, Reached};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::{ever_at, exists};

/// Tenancies that are told of.
const MAX_TENANCIES: usize = 20;
/// One more, to know that there are more.
const AT_MOST: usize = MAX_TENANCIES + 1;

/// Who has or had a key.
#[derive(Default)]
pub(super) struct Owners {
    pub(super) tenancies: Vec<TenancyId>,
    /// There are more.
    pub(super) cut: bool,
    /// Why not everywhere was looked.
    pub(super) not_searched: Option<String>,
}

impl Owners {
    fn add(&mut self, found: impl IntoIterator<Item = TenancyId>) {
        for tenancy in found {
            if self.tenancies.contains(&tenancy) {
                continue;
            }
            if self.tenancies.len() == MAX_TENANCIES {
                self.cut = true;
                return;
            }
            self.tenancies.push(tenancy);
        }
    }

    /// The tenancy that an operator has named, which has to be known.
    pub(super) async fn named(deployment: &Deployment<'_>, tenancy: TenancyId) -> Result<Self, OperationError> {
        const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM lockstep.tenancy_location WHERE tenancy_id = $1)";
        let client = &deployment.client;
        let is_known =
            exists(client, tenancy).await? || client.query_one(KNOWN, &[&tenancy.as_uuid()]).await?.get::<_, bool>(0);
        if !is_known {
            return Err(OperationError::UnknownTenancy(tenancy));
        }
        Ok(Self { tenancies: vec![tenancy], ..Self::default() })
    }

    /// All that are found, first those who have a row.
    pub(super) async fn found(
        deployment: &Deployment<'_>,
        mapping: &Mapping,
        key: &[String],
        reached: &Reached,
    ) -> Result<Self, OperationError> {
        let (mut all, client) = (Self::default(), &deployment.client);
        match deployment.client.query(&explain::owners(mapping, key, AT_MOST), &[]).await.map_err(SourceError::from) {
            Ok(rows) => all.add(rows.iter().map(id)),
            Err(error) if error.kind() == Some(SqlStateKind::Cancelled) => {
                all.not_searched = Some("looking for the row in the source of all tenancies took too long".to_owned());
            }
            Err(error) => return Err(error.into()),
        }
        all.add(client.query(&explain::named(mapping, key, AT_MOST), &[]).await?.iter().map(id));
        match places(&Placed::read(deployment, mapping, reached).await?, key).await {
            Ok(places) => {
                all.cut |= places.len() == AT_MOST;
                all.add(ever_at(client, &places).await?);
            }
            Err(why) => all.not_searched = Some(format!("ClickHouse: {why}")),
        }
        Ok(all)
    }
}

fn id(row: &tokio_postgres::Row) -> TenancyId {
    TenancyId::new(row.get::<_, Uuid>(0))
}

/// Where ClickHouse has the key, in whatever version.
async fn places(clickhouse: &Placed, key: &[String]) -> Result<Vec<Location>, String> {
    let (clickhouse, mapping) = clickhouse.usable()?;
    let sql = places_of_key(mapping, clickhouse.databases(), key, AT_MOST);
    let places: Vec<(String, String)> = answered(clickhouse.fetch_rows(&sql)).await?;
    Ok(places.into_iter().map(|(project_id, branch_id)| Location { project_id, branch_id }).collect())
}
