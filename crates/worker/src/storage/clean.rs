//! What pruning and cleaning up ask and write in the source.

use std::time::Duration;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::postgres::erase;
use lockstep_schema::SourceError;
use uuid::Uuid;

use super::DESTINATION;
use super::fetch::limit;
use super::janitor::JanitorSession;

/// Tombstones of one tenancy and table that every destination has passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    pub(crate) tenancy: TenancyId,
    pub(crate) table: String,
    pub(crate) up_to: SequenceId,
}

impl JanitorSession {
    /// The next tenancies after one that have tombstones, each with whether it was erased.
    pub(crate) async fn tenancies_with_tombstones(
        &self,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<(TenancyId, bool)>, SourceError> {
        let rows = self.client.query(&erase::tenancies_with_tombstones(), &[&after, &i64::from(limit)]).await?;
        rows.iter().map(|row| Ok((TenancyId::new(row.try_get(0)?), row.try_get(1)?))).collect()
    }

    /// Deletes at most `limit` tombstones that were passed, and are older than their retention.
    pub(crate) async fn prune(&self, passed: &[Passed], retention: Duration, limit: u32) -> Result<u64, SourceError> {
        if passed.is_empty() {
            return Ok(0);
        }
        let tenancies: Vec<Uuid> = passed.iter().map(|passed| passed.tenancy.as_uuid()).collect();
        let tables: Vec<&str> = passed.iter().map(|passed| passed.table.as_str()).collect();
        let up_to: Vec<i64> = passed.iter().map(|passed| passed.up_to.get()).collect();
        let sql = erase::prune_tombstones();
        Ok(self
            .client
            .execute(&sql, &[&tenancies, &tables, &up_to, &retention.as_secs_f64(), &i64::from(limit)])
            .await?)
    }

    /// Whether no base snapshot of a mapping is under way.
    pub(crate) async fn base_is_shipped(&self, mapping: &str) -> Result<bool, SourceError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM lockstep.snapshot WHERE destination = $1 AND mapping_name = $2 AND finished_at IS NULL)";
        Ok(self.client.query_one(sql, &[&DESTINATION, &mapping]).await?.try_get(0)?)
    }

    /// How long ago deleted rows of a mapping were dropped.
    pub(crate) async fn cleaned_ago(&self, mapping: &str) -> Result<Option<Duration>, SourceError> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp() - cleaned_at) * 1000)::bigint FROM lockstep.clean_up WHERE destination = $1 AND mapping_name = $2";
        let row = self.client.query_opt(sql, &[&DESTINATION, &mapping]).await?;
        row.map(|row| limit(&row, 0)).transpose()
    }

    /// Writes down that they were.
    pub(crate) async fn cleaned(&self, mapping: &str, dropped: u64) -> Result<(), SourceError> {
        let sql = "INSERT INTO lockstep.clean_up (mapping_name, destination, cleaned_at, dropped_rows) VALUES ($2, $1, clock_timestamp(), $3)
ON CONFLICT (mapping_name, destination) DO UPDATE SET cleaned_at = EXCLUDED.cleaned_at, dropped_rows = EXCLUDED.dropped_rows";
        self.client.execute(sql, &[&DESTINATION, &mapping, &i64::try_from(dropped).unwrap_or(i64::MAX)]).await?;
        Ok(())
    }
}
