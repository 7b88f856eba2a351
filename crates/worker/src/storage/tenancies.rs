//! Looking tenancies up, and walking through all of them.

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::postgres::{backlog, table, tenancy_table};
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::quarantine::{MAX_ENTRIES, forget_gone};
use crate::lookup::Residences;
use crate::measure;
use crate::routes::Routes;

/// One sweep at a time, whichever worker does it: the bytes of `locksswp`.
pub const SWEEP_LOCK: i64 = i64::from_be_bytes(*b"locksswp");

pub(super) fn uuids(tenancies: &[TenancyId]) -> Vec<Uuid> {
    tenancies.iter().map(TenancyId::as_uuid).collect()
}

/// Of the tenancies `$1 uuid[]` those that exist, where they are, and one row for each place where they were before.
pub(super) fn look_up_sql() -> String {
    format!(
        r#"SELECT t."id", t."projectId", t."branchId", l.project_id, l.branch_id
FROM unnest($1::uuid[]) AS w(id) JOIN {} t ON t."id" = w.id
  LEFT JOIN lockstep.tenancy_location l ON l.tenancy_id = t."id" AND (l.project_id, l.branch_id) <> (t."projectId", t."branchId")"#,
        table(&tenancy_table())
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

/// A connection for sweeping. While it lives and holds the lock, no other worker sweeps.
pub(crate) struct SweepSession {
    client: Client,
    behind: Vec<Statement>,
    leading: bool,
}

impl SweepSession {
    /// Connects.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or a table is not as its mapping says.
    pub(crate) async fn open(source: &Source, routes: &Routes) -> Result<Self, SourceError> {
        let client = source.connect(Session::Fetch).await?;
        client.batch_execute("SET statement_timeout = '60s'").await?;
        let mut behind = Vec::new();
        for route in routes.iter() {
            behind.push(client.prepare(&backlog::behind(&route.mapping)).await?);
        }
        Ok(Self { client, behind, leading: false })
    }

    /// Whether this worker is the one that sweeps, from now on as long as the connection lives.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn lead(&mut self) -> Result<bool, SourceError> {
        if !self.leading {
            self.leading =
                self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&SWEEP_LOCK]).await?.try_get(0)?;
        }
        Ok(self.leading)
    }

    /// Up to `limit` tenancies in order of id, the first not below `from`, and the last sequence that was stamped.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn tenancies(&self, from: Uuid, limit: u32) -> Result<(Vec<TenancyId>, SequenceId), SourceError> {
        let sql =
            format!(r#"SELECT t."id" FROM {} t WHERE t."id" >= $1 ORDER BY t."id" LIMIT $2"#, table(&tenancy_table()));
        let rows = self.client.query(&sql, &[&from, &i64::from(limit)]).await?;
        let ids = rows.iter().map(|row| Ok(TenancyId::new(row.try_get(0)?)));
        let ids: Result<Vec<_>, tokio_postgres::Error> = ids.collect();
        let head = self.client.query_one("SELECT last_sequence FROM lockstep.sequence_head", &[]).await?;
        Ok((ids?, SequenceId::new(head.try_get(0)?)))
    }

    /// Forgets rows in quarantine that were changed or deleted by somebody of whom no flush will hear, and tells how many
    /// there are.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn look_through_quarantine(&self, routes: &Routes) -> Result<(), SourceError> {
        for (place, route) in routes.iter().enumerate() {
            let rows = forget_gone(&self.client, routes, place, None, MAX_ENTRIES).await?;
            measure::in_quarantine(&route.mapping.name, rows);
        }
        Ok(())
    }

    /// Of these tenancies with their cursors, those that have news of a mapping (by its place) up to `head`.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn behind(
        &self,
        mapping: usize,
        tenancies: &[TenancyId],
        cursors: &[i64],
        head: SequenceId,
    ) -> Result<Vec<TenancyId>, SourceError> {
        let rows = self.client.query(&self.behind[mapping], &[&uuids(tenancies), &cursors, &head.get()]).await?;
        let ids = rows.iter().map(|row| Ok(TenancyId::new(row.try_get(0)?)));
        ids.collect::<Result<_, tokio_postgres::Error>>().map_err(SourceError::from)
    }
}
