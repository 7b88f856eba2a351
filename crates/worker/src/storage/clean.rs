//! What cleaning up asks and writes in the source.

use std::time::Duration;

use lockstep_schema::SourceError;

use super::DESTINATION;
use super::fetch::limit;
use super::janitor::JanitorSession;

impl JanitorSession {
    /// Whether no fill of a mapping is under way.
    pub(crate) async fn is_filled(&self, mapping: &str) -> Result<bool, SourceError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM lockstep.fill WHERE destination = $1 AND mapping_name = $2 AND finished_at IS NULL)";
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
