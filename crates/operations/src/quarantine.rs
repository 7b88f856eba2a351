//! Rows that a destination refused: showing them, shipping them again, forgetting them.

use lockstep_core::DestinationId;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::{Target, inbox, quarantine};
pub use lockstep_schema::quarantine::QuarantineScope;
use lockstep_schema::quarantine::forget;
use serde::Serialize;
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::destinations::Named;
use crate::error::OperationError;
use crate::limit::COUNT_LIMIT;
use crate::shown::{self, ShownKey};

/// Destinations and mappings of which rows are in quarantine. One that no definition has any more is passed over.
async fn places<'a>(
    deployment: &Deployment<'a>,
    scope: &QuarantineScope,
) -> Result<Vec<(String, &'a Mapping)>, OperationError> {
    if let Some(name) = &scope.mapping {
        deployment.must_have_mapping(name.as_str())?;
    }
    let places = lockstep_schema::quarantine::places(deployment.control()?, scope).await?;
    // One that was taken away may have left rows there.
    if let (Some(destination), true) = (&scope.destination, places.is_empty()) {
        Named::find(deployment, destination.as_str()).await?;
    }
    let mapping = |name: &str| deployment.mappings.iter().find(|mapping| mapping.name.as_str() == name);
    Ok(places.into_iter().filter_map(|(destination, name)| Some((destination, mapping(&name)?))).collect())
}

/// The destination that an operator has named, for [`QuarantineScope::destination`].
///
/// # Errors
/// When it cannot be one.
pub fn quarantine_of(name: &str) -> Result<DestinationId, OperationError> {
    Ok(match Named::parse(name)? {
        Named::ClickHouse => DestinationId::clickhouse(),
        Named::Tenants(id) => DestinationId::tenant(id),
    })
}

/// A row in quarantine.
#[derive(Serialize, Debug)]
pub struct QuarantineEntry {
    /// Who refused it.
    pub destination: String,
    /// Its mapping.
    pub mapping: String,
    /// Whose it is.
    pub tenancy: String,
    /// The number of the change that named it.
    pub sequence: i64,
    /// By destination column, as it may be shown.
    pub key: ShownKey,
    /// The error's code.
    pub code: String,
    /// The error, without values of the row.
    pub error: String,
    /// When it was refused for the first time, in UTC.
    pub first_refused_at: String,
    /// When it was refused for the last time, in UTC.
    pub last_refused_at: String,
    /// How often.
    pub attempts: i64,
}

/// The rows in quarantine.
#[derive(Serialize, Debug)]
pub struct QuarantineReport {
    /// By destination, mapping, tenancy and number.
    pub entries: Vec<QuarantineEntry>,
}

/// Rows in quarantine that failed alike.
#[derive(Serialize, Debug)]
pub struct QuarantineGroup {
    /// Who refused them.
    pub destination: String,
    /// Their mapping.
    pub mapping: String,
    /// The error's code.
    pub code: String,
    /// The error, without values of rows.
    pub error: String,
    /// How many.
    pub rows: i64,
    /// Of how many tenancies.
    pub tenancies: i64,
    /// When the first was refused, in UTC.
    pub first_refused_at: String,
    /// When the last was refused, in UTC.
    pub last_refused_at: String,
}

/// How many rows were shipped again, or forgotten.
#[derive(Serialize, Debug)]
pub struct QuarantinedRows {
    /// That many.
    pub rows: u64,
}

/// Behind which row a page of rows in quarantine begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct QuarantinePosition {
    destination: String,
    mapping: String,
    tenancy: Uuid,
    sequence: i64,
}

impl std::fmt::Display for QuarantinePosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.destination, self.mapping, self.tenancy, self.sequence)
    }
}

impl std::str::FromStr for QuarantinePosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split('/').collect();
        let [destination, mapping, tenancy, sequence] = parts[..] else { return Err(()) };
        let (tenancy, sequence) = (tenancy.parse().map_err(drop)?, sequence.parse().map_err(drop)?);
        Ok(Self { destination: destination.to_owned(), mapping: mapping.to_owned(), tenancy, sequence })
    }
}

/// A page of rows in quarantine.
#[derive(Debug)]
pub struct QuarantinePage {
    /// By destination, mapping, tenancy and number.
    pub entries: Vec<QuarantineEntry>,
    /// What the next page begins behind; none where this is the last.
    pub next: Option<QuarantinePosition>,
}

/// The rows in quarantine, with their keys and errors.
///
/// # Errors
/// When there is no such mapping or destination, or Postgres cannot be asked.
pub async fn quarantined(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantineReport, OperationError> {
    Ok(QuarantineReport { entries: quarantined_page(deployment, scope, None, usize::MAX).await?.entries })
}

/// So many of them at most, behind a position.
///
/// # Errors
/// When there is no such mapping or destination, or Postgres cannot be asked.
pub async fn quarantined_page(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
    after: Option<&QuarantinePosition>,
    limit: usize,
) -> Result<QuarantinePage, OperationError> {
    let mut places = places(deployment, scope).await?;
    // Whatever order of texts the database has.
    places.sort_unstable_by(|one, other| (&one.0, &one.1.name).cmp(&(&other.0, &other.1.name)));
    let (mut entries, mut next) = (Vec::new(), None);
    for (destination, mapping) in places {
        let behind = match after.map(|after| ((&*after.destination, &*after.mapping), after)) {
            Some((place, _)) if place > (&*destination, mapping.name.as_str()) => continue,
            Some((place, after)) if place == (&*destination, mapping.name.as_str()) => (after.tenancy, after.sequence),
            _ => (Uuid::nil(), i64::MIN),
        };
        // One more than a page has, so that it is known whether there is another.
        let missing = i64::try_from(limit - entries.len()).unwrap_or(i64::MAX).saturating_add(1);
        entries.extend(of_place(deployment, scope, (&destination, mapping), behind, missing).await?);
        if entries.len() > limit {
            entries.truncate(limit);
            next = entries.last().map(|(position, _): &(QuarantinePosition, _)| position.clone());
            break;
        }
    }
    Ok(QuarantinePage { entries: entries.into_iter().map(|(_, entry)| entry).collect(), next })
}

/// Those of one destination and mapping.
async fn of_place(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
    (destination, mapping): (&str, &Mapping),
    behind: (Uuid, i64),
    limit: i64,
) -> Result<Vec<(QuarantinePosition, QuarantineEntry)>, OperationError> {
    let tenancy = scope.tenancy.map(|id| id.as_uuid());
    let (sql, code) = (quarantine::entries(mapping), scope.code.as_deref());
    let rows = deployment.client.query(&sql, &[&destination, &tenancy, &limit, &code, &behind.0, &behind.1]).await?;
    let entry = |row: &tokio_postgres::Row| {
        let position = QuarantinePosition {
            destination: destination.to_owned(),
            mapping: mapping.name.to_string(),
            tenancy: row.get(0),
            sequence: row.get(1),
        };
        let entry = QuarantineEntry {
            destination: position.destination.clone(),
            mapping: position.mapping.clone(),
            tenancy: position.tenancy.to_string(),
            sequence: position.sequence,
            key: shown::object(mapping, &row.get(2)),
            code: row.get(3),
            error: row.get(4),
            first_refused_at: row.get(5),
            last_refused_at: row.get(6),
            attempts: row.get(7),
        };
        (position, entry)
    };
    Ok(rows.iter().map(entry).collect())
}

/// How many rows that is, counted to the last.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn quarantine_count(deployment: &Deployment<'_>, scope: &QuarantineScope) -> Result<i64, OperationError> {
    Ok(lockstep_schema::quarantine::count(deployment.control()?, scope).await?)
}

/// Groups that are told of.
const GROUPS_TOLD: i64 = 100;

/// Rows in quarantine by what was wrong with them.
#[derive(Serialize, Debug, Default)]
pub struct QuarantineGroups {
    /// The most first; a hundred at most.
    pub groups: Vec<QuarantineGroup>,
    /// Only the first 10,000 rows were looked through: each number is "at least".
    pub is_cut: bool,
}

/// Rows in quarantine by what was wrong with them, the most first.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn quarantine_groups(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantineGroups, OperationError> {
    const GROUPS: &str = "SELECT destination, mapping_name, code, error, count(*), count(DISTINCT tenancy_id),
  to_char(min(first_refused_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), to_char(max(last_refused_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
  (sum(count(*)) OVER ())::bigint
FROM (SELECT * FROM lockstep.quarantine WHERE ($1::text IS NULL OR destination = $1) AND ($2::text IS NULL OR mapping_name = $2)
  AND ($3::uuid IS NULL OR tenancy_id = $3) AND ($6::text IS NULL OR code = $6) LIMIT $4) q
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT $5";
    deployment.control()?;
    let destination = scope.destination.as_ref().map(DestinationId::as_str);
    let mapping = scope.mapping.as_ref().map(|name| name.as_str());
    let (tenancy, code) = (scope.tenancy.map(|id| id.as_uuid()), scope.code.as_deref());
    let rows =
        deployment.client.query(GROUPS, &[&destination, &mapping, &tenancy, &COUNT_LIMIT, &GROUPS_TOLD, &code]).await?;
    let group = |row: &tokio_postgres::Row| QuarantineGroup {
        destination: row.get(0),
        mapping: row.get(1),
        code: row.get(2),
        error: row.get(3),
        rows: row.get(4),
        tenancies: row.get(5),
        first_refused_at: row.get(6),
        last_refused_at: row.get(7),
    };
    let is_cut = rows.first().is_some_and(|row| row.get::<_, i64>(8) >= COUNT_LIMIT);
    Ok(QuarantineGroups { groups: rows.iter().map(group).collect(), is_cut })
}

/// Has the rows numbered and shipped anew.
///
/// # Errors
/// When there is no such mapping or destination, or Postgres cannot be asked.
pub async fn retry_quarantined(
    deployment: &mut Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantinedRows, OperationError> {
    let (places, tenancy) = (places(deployment, scope).await?, scope.tenancy.map(|id| id.as_uuid()));
    let code = scope.code.as_deref();
    let transaction = deployment.client.transaction().await?;
    let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.get(0);
    let sql = quarantine::retry(inbox::inbox_of(xid));
    let mut rows = 0;
    for (destination, mapping) in places {
        let (name, target) = (mapping.name.as_str(), Target::row(mapping).id());
        rows += transaction.execute(&sql, &[&destination, &name, &target, &tenancy, &code]).await?;
    }
    transaction.commit().await?;
    Ok(QuarantinedRows { rows })
}

/// Forgets the rows without shipping them. The destination does not hold them.
///
/// # Errors
/// When there is no such mapping or destination, or Postgres cannot be asked.
pub async fn drop_quarantined(
    deployment: &Deployment<'_>,
    scope: &QuarantineScope,
) -> Result<QuarantinedRows, OperationError> {
    places(deployment, scope).await?;
    let forgotten = forget(deployment.control()?, scope).await?;
    Ok(QuarantinedRows { rows: forgotten as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else() {
        let text = "clickhouse/users/00000000-0000-4000-8000-000000000001/77";
        assert_eq!(text.parse::<QuarantinePosition>().map(|position| position.to_string()).as_deref(), Ok(text));
        for wrong in ["", "clickhouse", "clickhouse/users/x/77", &text[..text.len() - 2], &format!("{text}/1")] {
            assert_eq!(wrong.parse::<QuarantinePosition>(), Err(()), "{wrong}");
        }
    }
}
