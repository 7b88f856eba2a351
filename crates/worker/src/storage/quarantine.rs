//! The quarantine: rows that the destination refuses, by their numbers, in the source database.

use std::collections::HashSet;
use std::time::Duration;

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_mappings::postgres::{Target, quarantine};
use lockstep_schema::{Session, Source, SourceError};
use tokio::time::timeout;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::DESTINATION;
use crate::plan::Refusal;
use crate::routes::Routes;

/// For all statements of one call; the server's own limits end sooner.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Rows of one mapping that are kept at most: more of them are no longer single rows that somebody mends.
const MAX_ENTRIES: i64 = 10_000;

/// Of the tenancies `$1 uuid[]` those with entries, and in which mappings, for the destination `$2`.
pub(super) const ANY_KEPT: &str =
    "SELECT DISTINCT tenancy_id, mapping_name FROM lockstep.quarantine WHERE tenancy_id = ANY($1) AND destination = $2";

/// Forgets what the destination has taken after all: entries of the mappings `$2 text[]` and tenancies `$3 uuid[]` with
/// numbers above `$4 bigint[]` and not above `$5 bigint[]`, but not the numbers `$6 bigint[]`.
const TAKEN: &str = "
DELETE FROM lockstep.quarantine q
USING unnest($2::text[], $3::uuid[], $4::bigint[], $5::bigint[]) AS w(mapping_name, tenancy_id, after, up_to)
WHERE q.destination = $1 AND q.mapping_name = w.mapping_name AND q.tenancy_id = w.tenancy_id
  AND q.sequence > w.after AND q.sequence <= w.up_to AND q.sequence <> ALL($6::bigint[])";

/// Tenancies with entries, each with the mapping.
pub(crate) type AnyKept = HashSet<(TenancyId, MappingName)>;

/// A row that is kept.
pub(crate) type Kept = (MappingName, TenancyId, SequenceId);

/// What a cursor has passed, of a tenancy and mapping with entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    pub(crate) place: usize,
    pub(crate) tenancy: TenancyId,
    pub(crate) after: SequenceId,
    pub(crate) up_to: SequenceId,
    /// Numbers that were refused on the way.
    pub(crate) refused: Vec<SequenceId>,
}

/// What [`ANY_KEPT`] answers.
pub(super) fn any_kept(rows: &[Row]) -> Result<AnyKept, SourceError> {
    let mut kept = AnyKept::new();
    for row in rows {
        // A name that is none was not written by us.
        if let Ok(mapping) = row.try_get::<_, &str>(1)?.parse() {
            kept.insert((TenancyId::new(row.try_get(0)?), mapping));
        }
    }
    Ok(kept)
}

/// Writes the quarantine, over a connection that is opened when there is something to write.
pub(crate) struct Quarantine {
    source: Source,
    client: Option<Client>,
}

impl Quarantine {
    /// In this database, which has to take writes.
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, client: None }
    }

    /// Keeps these rows, each with its mapping. When this returns, those that it returns are kept durably.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn keep(
        &mut self,
        routes: &Routes,
        rows: &[(&MappingName, &Refusal)],
    ) -> Result<HashSet<Kept>, SourceError> {
        let mappings: Vec<&str> = rows.iter().map(|(mapping, _)| mapping.as_str()).collect();
        let tenancies: Vec<Uuid> = rows.iter().map(|(_, row)| row.tenancy.as_uuid()).collect();
        let numbers: Vec<i64> = rows.iter().map(|(_, row)| row.sequence.get()).collect();
        let codes: Vec<&str> = rows.iter().map(|(_, row)| row.code).collect();
        let errors: Vec<&str> = rows.iter().map(|(_, row)| row.error.as_str()).collect();
        let target =
            |name: &MappingName| routes.place(name).map_or(0, |place| Target::row(&routes.get(place).mapping).id());
        let targets: Vec<i32> = rows.iter().map(|(mapping, _)| target(mapping)).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&DESTINATION, &mappings, &tenancies, &numbers, &codes, &errors, &MAX_ENTRIES, &targets];
        let client = self.connected().await?;
        let answered = in_time(async { Ok(client.query(&quarantine::keep(), &parameters).await?) }).await?;
        self.client = Some(client);
        let mut kept = HashSet::new();
        for row in &answered {
            if let Ok(mapping) = row.try_get::<_, &str>(0)?.parse() {
                kept.insert((mapping, TenancyId::new(row.try_get(1)?), SequenceId::new(row.try_get(2)?)));
            }
        }
        Ok(kept)
    }

    /// After cursors have moved: forgets what the destination has taken, and rows of which it has passed a later change.
    ///
    /// # Errors
    /// When Postgres cannot be asked; entries that stay are looked at again later.
    pub(crate) async fn settle(&mut self, routes: &Routes, passed: &[Passed]) -> Result<(), SourceError> {
        let client = self.connected().await?;
        in_time(forget(&client, routes, passed)).await?;
        self.client = Some(client);
        Ok(())
    }

    /// Taken out while it is in use, so that it is used again only where everything went well.
    async fn connected(&mut self) -> Result<Client, SourceError> {
        match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => self.source.connect(Session::Control).await,
        }
    }
}

async fn in_time<T>(asking: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(SourceError::Timeout(ANSWER_TIMEOUT)))
}

async fn forget(client: &Client, routes: &Routes, passed: &[Passed]) -> Result<(), SourceError> {
    let mappings: Vec<&str> = passed.iter().map(|passed| routes.name(passed.place).as_str()).collect();
    let targets: Vec<i32> = passed.iter().map(|passed| Target::row(&routes.get(passed.place).mapping).id()).collect();
    let tenancies: Vec<Uuid> = passed.iter().map(|passed| passed.tenancy.as_uuid()).collect();
    let after: Vec<i64> = passed.iter().map(|passed| passed.after.get()).collect();
    let up_to: Vec<i64> = passed.iter().map(|passed| passed.up_to.get()).collect();
    let refused: Vec<i64> = passed.iter().flat_map(|passed| &passed.refused).map(|number| number.get()).collect();
    client.execute(TAKEN, &[&DESTINATION, &mappings, &tenancies, &after, &up_to, &refused]).await?;
    let forget = quarantine::forget_superseded();
    let left = client.execute(&forget, &[&DESTINATION, &mappings, &targets, &tenancies, &up_to]).await?;
    if left > 0 {
        tracing::info!(rows = left, "rows left the quarantine: they were changed or deleted");
    }
    Ok(())
}
