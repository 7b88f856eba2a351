//! What a support bundle tells of the services beside status and doctor: versions, sizes, counts. No key, and no value of a row.

use lockstep_core::settings::Settings;
use lockstep_destinations::ClickHouse;
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::error::OperationError;

/// Rows of each list.
const MOST: i64 = 1000;

/// Each with the name that it has in the report. Actions are told without their arguments.
const OF_SOURCE: [(&str, &str); 5] = [
    ("server", "SELECT version(), pg_is_in_recovery(), current_setting('max_connections')"),
    (
        "tables",
        "SELECT s.schemaname, s.relname, pg_total_relation_size(s.relid) AS bytes, s.n_live_tup, s.n_dead_tup, s.n_tup_ins, s.n_tup_upd, \
         s.n_tup_del, s.seq_scan, s.idx_scan, s.last_autovacuum, s.last_autoanalyze FROM pg_stat_all_tables s WHERE s.schemaname = 'lockstep' \
         ORDER BY 3 DESC",
    ),
    (
        "statistics",
        "SELECT numbackends, xact_commit, xact_rollback, deadlocks, temp_bytes, pg_database_size(datid) AS bytes FROM pg_stat_database \
         WHERE datname = current_database()",
    ),
    ("actions", "SELECT id, what, outcome FROM lockstep.action ORDER BY id DESC"),
    (
        "quarantine",
        "SELECT destination, mapping_name, code, count(*) AS rows FROM lockstep.quarantine GROUP BY 1, 2, 3 ORDER BY 4 DESC",
    ),
];

/// Sizes, statistics and counts of the source; what could not be asked says why.
///
/// # Errors
/// None of its own: each part fails alone.
pub async fn of_source(deployment: &Deployment<'_>) -> Result<Value, OperationError> {
    let mut told = serde_json::Map::new();
    for (name, query) in OF_SOURCE {
        let sql = format!("SELECT COALESCE(json_agg(to_jsonb(q)), '[]') FROM ({query} LIMIT {MOST}) q");
        let answer = deployment.client.query_one(&sql, &[]).await;
        let answer = answer.and_then(|row| row.try_get::<_, Value>(0));
        let failed = |error| json!({ "failed": lockstep_schema::SourceError::from(error).to_string() });
        told.insert(name.to_owned(), answer.unwrap_or_else(failed));
    }
    Ok(Value::Object(told))
}

/// Version and sizes of Lockstep's tables in ClickHouse.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub async fn of_clickhouse(settings: &Settings) -> Result<Value, OperationError> {
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    let version = clickhouse.fetch_text("SELECT version()").await?;
    // The name was checked to be letters, digits and `_` when settings were read.
    let sizes = format!(
        "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE active AND database = '{}' GROUP BY table \
         ORDER BY table LIMIT {MOST}",
        settings.clickhouse.raw_database
    );
    let tables: Vec<(String, u64, u64, u64)> = clickhouse.fetch_rows(&sizes).await?;
    let tables = tables.into_iter().map(
        |(table, rows, bytes, parts)| json!({ "table": table, "rows": rows, "bytes_on_disk": bytes, "parts": parts }),
    );
    Ok(json!({ "version": version.trim_end(), "tables": tables.collect::<Vec<_>>() }))
}
