//! What the sequencer that leads tells of what waits, and of what operators look at.

use std::time::Duration;

use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_schema::SourceError;
use lockstep_schema::verifications::latest::{Latest, latest};
use tokio_postgres::Row;

use super::UpkeepSession;

/// For how long the oldest has waited of what has no destination in sight yet; `None` where nothing waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Oldest {
    /// With a number, and not announced.
    pub(crate) unannounced: Option<Duration>,
    /// To be searched.
    pub(crate) expansion: Option<Duration>,
}

/// Of everything that can be paused, how much is.
const PAUSED: &str =
    "SELECT k.kind, count(p.kind) FROM unnest('{sequencer,workers,mapping,destination,tenancy}'::text[]) k(kind)
LEFT JOIN lockstep.pause p ON p.kind = k.kind GROUP BY 1";
/// Of destinations of tenants' own, too.
const ERASURES: &str = "SELECT count(*), extract(epoch FROM clock_timestamp() - min(requested_at))::float8
FROM lockstep.erasure WHERE finished_at IS NULL";

/// `$1`: whether something is not announced.
fn oldest() -> String {
    format!(
        "SELECT CASE WHEN $1 THEN (SELECT extract(epoch FROM clock_timestamp() - p.passed_at)::float8 FROM {} p) END,
  (SELECT extract(epoch FROM clock_timestamp() - e.requested_at)::float8 FROM lockstep.expansion e ORDER BY e.id LIMIT 1)",
        first_beyond("(SELECT max(sequence) FROM lockstep.announced)")
    )
}

impl UpkeepSession {
    /// How many parts of each kind are paused.
    pub(crate) async fn paused_parts(&self) -> Result<Vec<(String, i64)>, SourceError> {
        let rows = self.client.query(PAUSED, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// How many erasures are not done, and for how long the first has not been.
    pub(crate) async fn erasures(&self) -> Result<(i64, Option<Duration>), SourceError> {
        let row = self.client.query_one(ERASURES, &[]).await?;
        Ok((row.try_get(0)?, age(&row, 1)?))
    }

    /// What the verifier last found of each mapping.
    pub(crate) async fn verifications(&self) -> Result<Vec<Latest>, SourceError> {
        latest(&self.client).await
    }

    /// How old the oldest is of what waits. What is not announced is looked for where there is any.
    pub(crate) async fn oldest(&self, is_unannounced: bool) -> Result<Oldest, SourceError> {
        let row = self.client.query_one(&oldest(), &[&is_unannounced]).await?;
        Ok(Oldest { unannounced: age(&row, 0)?, expansion: age(&row, 1)? })
    }
}

/// Seconds.
fn age(row: &Row, column: usize) -> Result<Option<Duration>, SourceError> {
    let seconds: Option<f64> = row.try_get(column)?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}
