//! How fresh everything is: who is behind, since when the oldest news waits, who leads, and who is connected. Each question is
//! bounded, so that it can be asked every few seconds.

use std::time::Duration;

use lockstep_core::DestinationId;
use lockstep_core::remedy::remedy;
use lockstep_destinations::DestinationError;
use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_mappings::postgres::{table, tenancy_table};
use lockstep_schema::progress;
use serde::Serialize;
use tokio::time::timeout;

use crate::DESTINATION;
use crate::deployment::Deployment;
use crate::doctor::leads;
use crate::error::OperationError;
use crate::limit::COUNT_LIMIT;

/// ClickHouse has so long to answer; what else is known is told without it.
const CLICKHOUSE_LIMIT: Duration = Duration::from_secs(5);

/// How fresh the platform's own destination is.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Freshness {
    /// How many tenancies there are; beyond a limit, Postgres's own estimate.
    pub tenancies: i64,
    /// Whether that is an estimate.
    pub is_estimate: bool,
    /// Those with a change that the destination has not passed.
    pub behind: i64,
    /// Only the first 10,000 of such changes were looked through: there may be more of them.
    pub behind_cut: bool,
    /// Since when the oldest change waits that the destination has not passed, in seconds; none where nothing waits.
    pub oldest_news_s: Option<f64>,
    /// Whether a sequencer leads.
    pub leads: bool,
    /// The version of ClickHouse, or why it did not answer.
    pub clickhouse: Result<String, String>,
    /// What to do where it did not.
    pub clickhouse_remedy: Option<String>,
}

/// Connections of Lockstep's to the source, by what they are for.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct SessionCount {
    /// As `pg_stat_activity` has it.
    pub name: String,
    /// How many.
    pub connections: i64,
    /// When the first was opened, in UTC.
    pub since: String,
}

const ALL: &str = "SELECT count(*) FROM (SELECT FROM {tenancies} LIMIT {counted}) t";
const ESTIMATE: &str = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::text::regclass";

/// Tenancies with changes above `$1 bigint`, and how many changes were looked through, `$2 bigint` at most.
const BEHIND: &str = "SELECT count(DISTINCT c.tenancy_id), count(*) FROM (
  SELECT tenancy_id FROM lockstep.change WHERE sequence > $1 LIMIT $2) c";

/// Sessions by what they do, without the instance that their names end in.
const SESSIONS: &str = r#"SELECT regexp_replace(application_name, ' [0-9a-f]{8}$', ''), count(*), to_char(min(backend_start), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep%' GROUP BY 1 ORDER BY 1 LIMIT 100"#;

/// Looks how fresh everything is.
///
/// # Errors
/// When Postgres cannot be asked. A ClickHouse that does not answer is part of the report.
pub async fn freshness(deployment: &Deployment<'_>) -> Result<Freshness, OperationError> {
    let client = &deployment.client;
    let head = deployment.last_sequence().await?;
    let passed = progress::passed(deployment.control()?, &DESTINATION.into()).await?;
    let (mut behind, mut behind_cut, mut oldest_news_s) = (0, false, None);
    if head > passed {
        let row = client.query_one(BEHIND, &[&passed.get(), &COUNT_LIMIT]).await?;
        (behind, behind_cut) = (row.get(0), row.get::<_, i64>(1) >= COUNT_LIMIT);
        let oldest = format!(
            "SELECT extract(epoch FROM clock_timestamp() - p.passed_at)::float8 FROM {} p",
            first_beyond("$1::bigint")
        );
        oldest_news_s = client.query_opt(&oldest, &[&passed.get()]).await?.map(|row| row.get(0));
    }
    let tenancies = table(&tenancy_table());
    // Where there are many they are not counted, not even up to the limit: they may lie on as many pages.
    let mut all: i64 = client.query_one(ESTIMATE, &[&tenancies]).await?.get(0);
    let mut is_estimate = all >= COUNT_LIMIT;
    if !is_estimate {
        let sql = ALL.replace("{tenancies}", &tenancies).replace("{counted}", &COUNT_LIMIT.to_string());
        all = client.query_one(&sql, &[]).await?.get(0);
        is_estimate = all >= COUNT_LIMIT;
    }
    let clickhouse = clickhouse(deployment).await;
    Ok(Freshness {
        tenancies: all,
        is_estimate,
        behind,
        behind_cut,
        oldest_news_s: if behind > 0 { oldest_news_s } else { None },
        leads: leads(client).await?,
        clickhouse_remedy: clickhouse.as_ref().err().map(|error| remedy(error, deployment.settings)),
        clickhouse,
    })
}

async fn clickhouse(deployment: &Deployment<'_>) -> Result<String, String> {
    let asked = async { Ok::<_, OperationError>(deployment.clickhouse()?.fetch_text("SELECT version()").await?) };
    let unanswered = || Err(DestinationError::unanswered(DestinationId::clickhouse()).into());
    let answer = timeout(CLICKHOUSE_LIMIT, asked).await.unwrap_or_else(|_| unanswered());
    answer.map(|version| version.trim().to_owned()).map_err(|error| error.to_string())
}

/// Who is connected to the source.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn sessions(deployment: &Deployment<'_>) -> Result<Vec<SessionCount>, OperationError> {
    let rows = deployment.client.query(SESSIONS, &[]).await?;
    let session =
        |row: &tokio_postgres::Row| SessionCount { name: row.get(0), connections: row.get(1), since: row.get(2) };
    Ok(rows.iter().map(session).collect())
}
