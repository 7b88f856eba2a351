//! What the last sweep found, as the source keeps it (`lockstep.sweep_result`).

use std::time::Duration;

use lockstep_schema::SourceError;
use tokio_postgres::Client;

use super::DESTINATION;
use crate::sweep::Found;

/// For how long something may wait that nobody has seen arrive.
const BEFORE: &str =
    "SELECT extract(epoch FROM clock_timestamp() - min(COALESCE(oldest_behind_since, swept_at)))::float8
FROM lockstep.sweep_result WHERE destination = $1";
const WRITE: &str = "
INSERT INTO lockstep.sweep_result (mapping_name, destination, swept_at, tenancies, behind, oldest_behind_since)
SELECT r.mapping, $1, clock_timestamp(), r.tenancies, r.behind, clock_timestamp() - make_interval(secs => r.age)
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::float8[]) r(mapping, tenancies, behind, age)
ON CONFLICT (mapping_name, destination) DO UPDATE SET swept_at = EXCLUDED.swept_at, tenancies = EXCLUDED.tenancies,
  behind = EXCLUDED.behind, oldest_behind_since = EXCLUDED.oldest_behind_since";

/// For how long something may have waited when whoever swept before had swept last; `None` where nobody has.
pub(super) async fn before(client: &Client) -> Result<Option<Duration>, SourceError> {
    let age: Option<f64> = client.query_one(BEFORE, &[&DESTINATION]).await?.try_get(0)?;
    Ok(age.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}

/// Writes down what was found.
pub(super) async fn write(client: &Client, found: &Found) -> Result<(), SourceError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let names: Vec<_> = found.keys().map(|name| name.as_str()).collect();
    let tenancies: Vec<_> = found.values().map(|of| number(of.tenancies)).collect();
    let behind: Vec<_> = found.values().map(|of| number(of.behind)).collect();
    let ages: Vec<_> = found.values().map(|of| of.oldest.map(|oldest| oldest.elapsed().as_secs_f64())).collect();
    client.execute(WRITE, &[&DESTINATION, &names, &tenancies, &behind, &ages]).await?;
    Ok(())
}
