//! Finding tenants: by id, project or branch, a page at a time, or those that most need somebody to look.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::{Target, table, tenancy_table};
use lockstep_schema::progress;
use lockstep_schema::tenant_destinations::{find_all, overview};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::limit::COUNT_LIMIT;
use crate::shown;

/// Tenants of one page.
pub const TENANTS_A_PAGE: i64 = 50;

/// What is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TenantSearch {
    /// All, in the order of their ids.
    All,
    /// One.
    Id(TenancyId),
    /// Those of a project, and of a branch of it where one is named.
    Place {
        /// The project's id.
        project: String,
        /// The branch's.
        branch: Option<String>,
    },
    /// Those that something is wrong with, or that are behind.
    Troubled,
    /// Those of which this is so, in the order of their ids.
    Only(TenantState),
}

/// What can be so of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TenantState {
    /// It has changes that ClickHouse has not passed; the first 10,000 such changes are looked through.
    Behind,
    /// It is paused.
    Paused,
    /// Some of its rows are in quarantine.
    Quarantined,
    /// Its rows are being erased.
    Erasing,
}

impl TenantSearch {
    /// An id, a project, or `project/branch`, as an operator types it.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Self::Id(id);
        }
        let (project, branch) = text.split_once('/').map_or((text, None), |(project, branch)| (project, Some(branch)));
        Self::Place { project: project.to_owned(), branch: branch.map(str::to_owned) }
    }
}

/// A tenant as a list has it.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct TenantEntry {
    /// Its id.
    pub tenancy: Uuid,
    /// Its project; none where it is gone.
    pub project_id: Option<String>,
    /// Its branch.
    pub branch_id: Option<String>,
    /// Its own destinations.
    pub destinations: i64,
    /// Those of them whose last attempt failed.
    pub failing: i64,
    /// Mappings with changes that ClickHouse has not passed.
    pub behind: i64,
    /// Its rows in quarantine, up to a limit.
    pub quarantined: i64,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Whether its rows are being erased.
    pub is_erased: bool,
}

/// One page.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct TenantsPage {
    /// In the order of their ids; of those in trouble, the worst first.
    pub tenants: Vec<TenantEntry>,
    /// What the next page begins behind; none where this is the last.
    pub next: Option<Uuid>,
}

/// Finds a page of tenants behind an id, so many at most.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn find_tenants(
    deployment: &Deployment<'_>,
    search: &TenantSearch,
    after: Option<Uuid>,
    limit: i64,
) -> Result<TenantsPage, OperationError> {
    let ids = match search {
        TenantSearch::Id(id) => vec![id.as_uuid()],
        TenantSearch::Troubled => return troubled(deployment).await,
        TenantSearch::All => page(deployment, None, after, limit).await?,
        TenantSearch::Place { project, branch } => {
            page(deployment, Some((project, branch.as_deref())), after, limit).await?
        }
        TenantSearch::Only(state) => only(deployment, *state, after, limit).await?,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (ids.len() > limit).then(|| ids[limit - 1]);
    let tenants = described(deployment, &ids[..ids.len().min(limit)]).await?;
    let is_known = |entry: &TenantEntry| entry.project_id.is_some() || !matches!(search, TenantSearch::Id(_));
    let is_known = tenants.iter().all(is_known) || is_remembered(deployment, &ids).await?;
    Ok(TenantsPage { tenants: if is_known { tenants } else { Vec::new() }, next })
}

/// Whether a pass has noticed one of these tenancies.
async fn is_remembered(deployment: &Deployment<'_>, ids: &[Uuid]) -> Result<bool, OperationError> {
    const KNOWN: &str = "SELECT EXISTS (SELECT FROM lockstep.tenancy_location WHERE tenancy_id = ANY($1::uuid[]))";
    Ok(deployment.client.query_one(KNOWN, &[&ids]).await?.get(0))
}

/// One more than a page has, so that it is known whether there is another.
async fn page(
    deployment: &Deployment<'_>,
    place: Option<(&String, Option<&str>)>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, OperationError> {
    let (after, limit) = (after.unwrap_or(Uuid::nil()), limit + 1);
    let of = table(&tenancy_table());
    let (mut sql, mut parameters): (String, Vec<&(dyn ToSql + Sync)>) =
        (format!("SELECT t.\"id\" FROM {of} t"), vec![&after, &limit]);
    let (mut project, mut branch) = (&String::new(), "");
    if let Some((name, of_it)) = place {
        project = name;
        let branches = if of_it.is_some() { " AND \"branchId\" = $4" } else { "" };
        // Its index first: the planner cannot know how few branches a project has.
        sql = format!(
            "WITH t AS MATERIALIZED (SELECT \"id\" FROM {of} WHERE \"projectId\" = $3{branches} LIMIT {COUNT_LIMIT}) SELECT t.\"id\" FROM t"
        );
        branch = of_it.unwrap_or_default();
    }
    if let Some((_, of_it)) = place {
        parameters.push(project);
        if of_it.is_some() {
            parameters.push(&branch);
        }
    }
    sql.push_str(" WHERE t.\"id\" > $1 ORDER BY t.\"id\" LIMIT $2");
    let rows = deployment.client.query(&sql, &parameters).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// One more than a page has. `$1 uuid` is the id that they are behind, `$2 bigint` how many.
async fn only(
    deployment: &Deployment<'_>,
    state: TenantState,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, OperationError> {
    let passed = progress::passed(deployment.control()?, &DESTINATION.into()).await?.get();
    let of = match state {
        TenantState::Behind => {
            format!(
                "(SELECT tenancy_id FROM lockstep.change WHERE sequence > {passed} ORDER BY sequence LIMIT {COUNT_LIMIT}) c"
            )
        }
        TenantState::Paused => {
            "(SELECT name::uuid AS tenancy_id FROM lockstep.pause WHERE kind = 'tenancy' OFFSET 0) p".to_owned()
        }
        TenantState::Quarantined => "lockstep.quarantine".to_owned(),
        TenantState::Erasing => "(SELECT tenancy_id FROM lockstep.erasure WHERE finished_at IS NULL) e".to_owned(),
    };
    let sql =
        format!("SELECT tenancy_id FROM {of} WHERE tenancy_id > $1 GROUP BY tenancy_id ORDER BY tenancy_id LIMIT $2");
    let rows = deployment.client.query(&sql, &[&after.unwrap_or(Uuid::nil()), &(limit + 1)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Those that something is wrong with, worst first: refused rows, failing databases, pauses, erasures, changes on their way.
async fn troubled(deployment: &Deployment<'_>) -> Result<TenantsPage, OperationError> {
    const QUARANTINED: &str =
        "SELECT DISTINCT tenancy_id FROM (SELECT tenancy_id FROM lockstep.quarantine LIMIT $1) q LIMIT $2";
    const PAUSED: &str = "SELECT name::uuid FROM lockstep.pause WHERE kind = 'tenancy' ORDER BY paused_at LIMIT least($1::bigint, $2::bigint)";
    const ERASED: &str = "SELECT DISTINCT tenancy_id FROM (SELECT tenancy_id FROM lockstep.erasure WHERE finished_at IS NULL LIMIT $1) e LIMIT $2";
    const BEHIND: &str =
        "SELECT tenancy_id FROM (SELECT tenancy_id, sequence FROM lockstep.change WHERE sequence > $3 LIMIT $1) c
GROUP BY 1 ORDER BY min(sequence) LIMIT $2";
    let (client, control) = (&deployment.client, deployment.control()?);
    let passed = progress::passed(control, &DESTINATION.into()).await?.get();
    let limit = TENANTS_A_PAGE;
    let mut ids: Vec<Uuid> = Vec::new();
    let add = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get::<_, Uuid>(0)).collect::<Vec<_>>();
    ids.extend(add(client.query(QUARANTINED, &[&COUNT_LIMIT, &limit]).await?));
    let worst = overview::worst(control, limit).await?;
    ids.extend(find_all(control, &worst).await?.iter().map(|found| found.setup.tenancy.as_uuid()));
    ids.extend(add(client.query(PAUSED, &[&COUNT_LIMIT, &limit]).await?));
    ids.extend(add(client.query(ERASED, &[&COUNT_LIMIT, &limit]).await?));
    ids.extend(add(client.query(BEHIND, &[&COUNT_LIMIT, &limit, &passed]).await?));
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(TenantsPage { tenants: described(deployment, &ids).await?, next: None })
}

/// What is known of each of these tenancies `$1 uuid[]`; mappings by their targets `$2 int[]`, behind from `$3 bigint` on.
const DESCRIBE: &str = r#"SELECT i.id, t."projectId", t."branchId",
  (SELECT count(*) FROM lockstep.tenant_destination d WHERE d.tenancy_id = i.id),
  (SELECT count(*) FROM lockstep.tenant_destination d WHERE d.tenancy_id = i.id AND d.failing_since IS NOT NULL),
  (SELECT count(*) FROM unnest($2::int[]) m WHERE EXISTS (
    SELECT FROM lockstep.change c WHERE c.tenancy_id = i.id AND c.mapping = m AND c.sequence > $3)),
  (SELECT count(*) FROM (SELECT FROM lockstep.quarantine q WHERE q.tenancy_id = i.id LIMIT $4) q),
  EXISTS (SELECT FROM lockstep.pause p WHERE p.kind = 'tenancy' AND p.name = i.id::text),
  EXISTS (SELECT FROM lockstep.erasure e WHERE e.tenancy_id = i.id AND e.finished_at IS NULL)
FROM unnest($1::uuid[]) AS i(id) LEFT JOIN {tenancies} t ON t."id" = i.id"#;

async fn described(deployment: &Deployment<'_>, ids: &[Uuid]) -> Result<Vec<TenantEntry>, OperationError> {
    let targets: Vec<i32> = deployment.mappings.iter().map(|mapping| Target::row(mapping).id()).collect();
    let passed = progress::passed(deployment.control()?, &DESTINATION.into()).await?.get();
    let sql = DESCRIBE.replace("{tenancies}", &table(&tenancy_table()));
    let rows = deployment.client.query(&sql, &[&ids, &targets, &passed, &COUNT_LIMIT]).await?;
    let entry = |row: &tokio_postgres::Row| TenantEntry {
        tenancy: row.get(0),
        project_id: row.get::<_, Option<String>>(1).map(|id| shown::id(&id)),
        branch_id: row.get::<_, Option<String>>(2).map(|id| shown::id(&id)),
        destinations: row.get(3),
        failing: row.get(4),
        behind: row.get(5),
        quarantined: row.get(6),
        is_paused: row.get(7),
        is_erased: row.get(8),
    };
    let entries: BTreeMap<Uuid, TenantEntry> = rows.iter().map(entry).map(|entry| (entry.tenancy, entry)).collect();
    Ok(ids.iter().filter_map(|id| entries.get(id).cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_an_id_a_project_or_a_project_and_a_branch() {
        let id = "00000000-0000-4000-8000-000000000001";
        assert_eq!(TenantSearch::parse(&format!(" {id} ")), TenantSearch::Id(id.parse().unwrap()));
        let place = |project: &str, branch: Option<&str>| TenantSearch::Place {
            project: project.to_owned(),
            branch: branch.map(str::to_owned),
        };
        assert_eq!(TenantSearch::parse("internal"), place("internal", None));
        assert_eq!(TenantSearch::parse("internal/main"), place("internal", Some("main")));
    }
}
