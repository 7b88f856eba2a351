//! The quarantine: rows that the destination refuses, by their numbers, in the source database.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_core::{DestinationId, MappingName, SequenceId, TenancyId};
use lockstep_destinations::Keeps;
use lockstep_mappings::postgres::{Target, quarantine};
use lockstep_schema::{Source, SourceError};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::connection::SideConnection;
use crate::flush::Refusal;
use crate::mappings::{MappingIndex, Mappings};

/// For all statements of one call; the server's own limits end sooner.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Rows of one mapping in quarantine at most: more of them are no longer single rows that somebody mends.
const MAX_ENTRIES: i64 = 10_000;

/// Of the tenancies `$1 uuid[]` those with entries, and in which mappings, for the destination `$2`.
pub(super) const WITH_ENTRIES: &str =
    "SELECT DISTINCT tenancy_id, mapping_name FROM lockstep.quarantine WHERE tenancy_id = ANY($1) AND destination = $2";

/// Forgets what the destination has taken after all: entries of the mappings `$2 text[]` and tenancies `$3 uuid[]` with
/// numbers above `$4 bigint[]` and not above `$5 bigint[]`, but not the numbers `$6 bigint[]`.
const TAKEN: &str = "
DELETE FROM lockstep.quarantine q
USING unnest($2::text[], $3::uuid[], $4::bigint[], $5::bigint[]) AS w(mapping_name, tenancy_id, after, up_to)
WHERE q.destination = $1 AND q.mapping_name = w.mapping_name AND q.tenancy_id = w.tenancy_id
  AND q.sequence > w.after AND q.sequence <= w.up_to AND q.sequence <> ALL($6::bigint[])";

/// Tenancies with entries, each with the mapping.
pub(crate) type WithEntries = HashSet<(TenancyId, MappingName)>;

/// A row that the quarantine holds.
pub(crate) type Entry = (MappingName, TenancyId, SequenceId);

/// What a cursor has passed, of a tenancy and mapping with entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    pub(crate) mapping: MappingIndex,
    pub(crate) tenancy: TenancyId,
    pub(crate) after: SequenceId,
    pub(crate) up_to: SequenceId,
    /// Numbers that were refused on the way.
    pub(crate) refused: Vec<SequenceId>,
}

/// What [`WITH_ENTRIES`] answers.
pub(super) fn with_entries(rows: &[Row]) -> Result<WithEntries, SourceError> {
    let mut entries = WithEntries::new();
    for row in rows {
        // A name that is none was not written by us.
        if let Ok(mapping) = row.try_get::<_, &str>(1)?.parse() {
            entries.insert((TenancyId::new(row.try_get(0)?), mapping));
        }
    }
    Ok(entries)
}

/// Writes the quarantine, over a connection that is opened when there is something to write.
pub(crate) struct Quarantine {
    connection: SideConnection,
    destination: DestinationId,
}

impl Quarantine {
    /// Of a destination, in this database, which has to take writes.
    pub(crate) fn new(source: Source, destination: DestinationId, keeps: Keeps) -> Self {
        let connection = match keeps {
            Keeps::Versions => SideConnection::new(source),
            Keeps::Rows => SideConnection::closing(source),
        };
        Self { connection, destination }
    }

    /// Writes these rows down, each with its mapping. When this returns, the quarantine holds those that it returns durably.
    pub(crate) async fn record(
        &mut self,
        mappings: &Mappings,
        rows: &[(MappingIndex, &Refusal)],
    ) -> Result<HashSet<Entry>, SourceError> {
        let names: Vec<&str> = rows.iter().map(|(mapping, _)| mappings.name(*mapping).as_str()).collect();
        let targets: Vec<i32> = rows.iter().map(|(mapping, _)| Target::row(mappings.get(*mapping)).id()).collect();
        let tenancies: Vec<Uuid> = rows.iter().map(|(_, row)| row.tenancy.as_uuid()).collect();
        let numbers: Vec<i64> = rows.iter().map(|(_, row)| row.sequence.get()).collect();
        let codes: Vec<&str> = rows.iter().map(|(_, row)| row.code).collect();
        let errors: Vec<&str> = rows.iter().map(|(_, row)| row.error.as_str()).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&self.destination.as_str(), &names, &tenancies, &numbers, &codes, &errors, &MAX_ENTRIES, &targets];
        let record = quarantine::record();
        let recording = async |client: &Client| Ok(client.query(&record, &parameters).await?);
        let mut entries = HashSet::new();
        for row in self.connection.ask(ANSWER_TIMEOUT, recording).await? {
            if let Ok(mapping) = row.try_get::<_, &str>(0)?.parse() {
                entries.insert((mapping, TenancyId::new(row.try_get(1)?), SequenceId::new(row.try_get(2)?)));
            }
        }
        Ok(entries)
    }

    /// After cursors have moved: forgets what the destination has taken, and rows of which it has passed a later change.
    ///
    /// # Errors
    /// When Postgres cannot be asked; entries that stay are looked at again later.
    pub(crate) async fn forget_passed(&mut self, mappings: &Mappings, passed: &[Passed]) -> Result<(), SourceError> {
        let destination = self.destination.as_str();
        self.connection.ask(ANSWER_TIMEOUT, async |client| forget(client, destination, mappings, passed).await).await
    }
}

async fn forget(client: &Client, destination: &str, mappings: &Mappings, passed: &[Passed]) -> Result<(), SourceError> {
    let names: Vec<&str> = passed.iter().map(|passed| mappings.name(passed.mapping).as_str()).collect();
    let targets: Vec<i32> = passed.iter().map(|passed| Target::row(mappings.get(passed.mapping)).id()).collect();
    let tenancies: Vec<Uuid> = passed.iter().map(|passed| passed.tenancy.as_uuid()).collect();
    let after: Vec<i64> = passed.iter().map(|passed| passed.after.get()).collect();
    let up_to: Vec<i64> = passed.iter().map(|passed| passed.up_to.get()).collect();
    let refused: Vec<i64> = passed.iter().flat_map(|passed| &passed.refused).map(|number| number.get()).collect();
    client.execute(TAKEN, &[&destination, &names, &tenancies, &after, &up_to, &refused]).await?;
    let forget = quarantine::forget_superseded();
    let left = client.execute(&forget, &[&destination, &names, &targets, &tenancies, &up_to]).await?;
    if left > 0 {
        tracing::info!(rows = left, "rows left the quarantine: they were changed or deleted");
    }
    Ok(())
}
