//! Stamping the flagged rows of one table.

use std::collections::BTreeMap;

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::stamp::{self, Pick, RowLock, stamped_tables};
use lockstep_mappings::postgres::{FLAG_COLUMN, table};
use lockstep_mappings::{Mapping, MappingSet, SourceTable, Tenant};
use lockstep_schema::SourceError;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::facts::RowLocks;
use super::query::Query;

/// What tells the tenants of a table apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TenantKey {
    /// A tenancy's id.
    Id(Uuid),
    /// Project and branch.
    Place(String, String),
}

/// What one statement stamped.
#[derive(Debug, Default)]
pub(crate) struct Stamped {
    /// Rows that got a number.
    pub(crate) rows: i64,
    /// The highest of these numbers.
    pub(crate) last: Option<i64>,
    /// Rows that were flagged in the statement's snapshot, where that was asked.
    pub(crate) flagged: Option<i64>,
    /// Whose rows, and the mappings that read them. Ownerless rows have no entry.
    pub(crate) news: Vec<(TenancyId, Vec<usize>)>,
}

/// The statements of one lane.
pub(crate) struct Lane {
    /// The table's name, for people.
    pub(crate) name: String,
    mappings: LaneMappings,
    /// Where the walk over its tenants begins.
    pub(crate) first_tenant: TenantKey,
    any: Query,
    counted: Query,
    fair: Query,
    tenants: Query,
}

/// Which mappings a stamped row concerns, by their place in the set.
enum LaneMappings {
    /// Those of the table; the statement says for each whether the row is in it.
    OfTable(Vec<usize>),
    /// By the name of the table that the tombstone is of.
    ByTombstone(BTreeMap<String, Vec<usize>>),
}

impl Lane {
    /// All lanes, in the order of `stamped_tables`: tombstones first.
    pub(crate) fn all(set: &MappingSet, locks: &RowLocks) -> Vec<Self> {
        let sources = set.by_source();
        let lanes = stamped_tables(set).into_iter().map(|source| {
            let lock = locks.of(&source);
            match sources.get(&source) {
                Some(mappings) => Self::of_table(set, &source, mappings, lock),
                None => Self::of_tombstones(set, &source, lock),
            }
        });
        lanes.collect()
    }

    fn of_table(set: &MappingSet, source: &SourceTable, mappings: &[&Mapping], lock: RowLock) -> Self {
        let any = stamp::rows(mappings, Pick::Any, lock);
        let first_tenant = match mappings.first().map(|mapping| &mapping.tenant) {
            Some(Tenant::ProjectAndBranch { .. }) => TenantKey::Place(String::new(), String::new()),
            _ => TenantKey::Id(Uuid::nil()),
        };
        Self {
            name: source.name.clone(),
            mappings: LaneMappings::OfTable(places(set, |mapping| mapping.source == *source)),
            first_tenant,
            counted: Query::new(counted(&any, source, "NULL::uuid, count(*), NULL::bigint, NULL::boolean[]")),
            any: Query::new(any),
            fair: Query::new(stamp::rows(mappings, Pick::Fair, lock)),
            tenants: Query::new(stamp::flagged_tenants(mappings)),
        }
    }

    fn of_tombstones(set: &MappingSet, source: &SourceTable, lock: RowLock) -> Self {
        let any = stamp::tombstones(Pick::Any, lock);
        let mut by_tombstone: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, mapping) in set.iter().enumerate() {
            for name in std::iter::once(&mapping.source.name).chain(&mapping.former_tombstones) {
                by_tombstone.entry(name.clone()).or_default().push(place);
            }
        }
        Self {
            name: source.name.clone(),
            mappings: LaneMappings::ByTombstone(by_tombstone),
            first_tenant: TenantKey::Id(Uuid::nil()),
            counted: Query::new(counted(&any, source, "NULL::uuid, NULL::text, count(*), NULL::bigint")),
            any: Query::new(any),
            fair: Query::new(stamp::tombstones(Pick::Fair, lock)),
            tenants: Query::new(stamp::flagged_tombstone_tenants()),
        }
    }

    /// Stamps up to `limit` rows, as they come. With `count`, says how many were flagged in the same snapshot.
    pub(crate) async fn stamp_any(&self, client: &Client, limit: i64, count: bool) -> Result<Stamped, SourceError> {
        let query = if count { &self.counted } else { &self.any };
        Ok(self.stamped(&query.rows(client, &[&limit]).await?))
    }

    /// Stamps up to `share` rows of each of these tenants.
    pub(crate) async fn stamp_fair(
        &self,
        client: &Client,
        share: i64,
        tenants: &[TenantKey],
    ) -> Result<Stamped, SourceError> {
        let mut ids = Vec::new();
        let (mut projects, mut branches) = (Vec::new(), Vec::new());
        for tenant in tenants {
            match tenant {
                TenantKey::Id(id) => ids.push(*id),
                TenantKey::Place(project, branch) => {
                    projects.push(project.as_str());
                    branches.push(branch.as_str());
                }
            }
        }
        let rows = match self.first_tenant {
            TenantKey::Id(_) => self.fair.rows(client, &[&share, &ids]).await?,
            TenantKey::Place(..) => self.fair.rows(client, &[&share, &projects, &branches]).await?,
        };
        Ok(self.stamped(&rows))
    }

    /// Up to `limit` tenants with flagged rows that follow `after`, in order.
    pub(crate) async fn flagged_tenants(
        &self,
        client: &Client,
        limit: i64,
        after: &TenantKey,
    ) -> Result<Vec<TenantKey>, SourceError> {
        match after {
            TenantKey::Id(id) => {
                let rows = self.tenants.rows(client, &[&limit, id]).await?;
                Ok(rows.iter().map(|row| TenantKey::Id(row.get(0))).collect())
            }
            TenantKey::Place(project, branch) => {
                let rows = self.tenants.rows(client, &[&limit, project, branch]).await?;
                Ok(rows.iter().map(|row| TenantKey::Place(row.get(0), row.get(1))).collect())
            }
        }
    }

    fn stamped(&self, rows: &[Row]) -> Stamped {
        match &self.mappings {
            LaneMappings::OfTable(mappings) => stamped_rows(mappings, rows),
            LaneMappings::ByTombstone(by_name) => stamped_tombstones(by_name, rows),
        }
    }
}

/// Adds a row that counts what is flagged in the statement's own snapshot, in which its update has not happened yet. It
/// is told from the others by its `last_sequence`, which is null.
fn counted(statement: &str, source: &SourceTable, columns: &str) -> String {
    format!(
        "{statement}\nUNION ALL SELECT {columns} FROM (SELECT 1 FROM {} WHERE \"{FLAG_COLUMN}\" LIMIT $1) c",
        table(source)
    )
}

/// The places in the set of the mappings that satisfy a condition.
pub(crate) fn places(set: &MappingSet, of: impl Fn(&Mapping) -> bool) -> Vec<usize> {
    set.iter().enumerate().filter(|(_, mapping)| of(mapping)).map(|(place, _)| place).collect()
}

/// Reads what `stamp::rows` and the touches' statements return. `mappings` are those of the table.
pub(crate) fn stamped_rows(mappings: &[usize], rows: &[Row]) -> Stamped {
    let mut stamped = Stamped::default();
    for row in rows {
        let Some(last) = row.get::<_, Option<i64>>(2) else {
            stamped.flagged = Some(row.get(1));
            continue;
        };
        stamped.rows += row.get::<_, i64>(1);
        stamped.last = stamped.last.max(Some(last));
        let news: Vec<Option<bool>> = row.get(3);
        let read = mappings.iter().zip(news).filter(|(_, news)| *news == Some(true)).map(|(place, _)| *place);
        if let Some(tenancy) = row.get::<_, Option<Uuid>>(0) {
            stamped.news.push((TenancyId::new(tenancy), read.collect()));
        }
    }
    stamped
}

fn stamped_tombstones(by_name: &BTreeMap<String, Vec<usize>>, rows: &[Row]) -> Stamped {
    let mut stamped = Stamped::default();
    for row in rows {
        let Some(last) = row.get::<_, Option<i64>>(3) else {
            stamped.flagged = Some(row.get(2));
            continue;
        };
        stamped.rows += row.get::<_, i64>(2);
        stamped.last = stamped.last.max(Some(last));
        let mappings = row.get::<_, Option<&str>>(1).and_then(|name| by_name.get(name));
        if let (Some(tenancy), Some(mappings)) = (row.get::<_, Option<Uuid>>(0), mappings) {
            stamped.news.push((TenancyId::new(tenancy), mappings.clone()));
        }
    }
    stamped
}
