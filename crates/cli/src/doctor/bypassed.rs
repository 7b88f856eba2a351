//! Rows that were written past the triggers, as far as that can be told.

use std::time::Duration;

use lockstep_mappings::postgres::bypassed;
use lockstep_mappings::postgres::facts::missing_capture_columns;
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_schema::attach::Live;
use lockstep_schema::{Session, Source, SourceError};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::capture::resync_of;
use super::{Check, or_ok};
use crate::error::CliError;

pub(super) const CHECK: &str = "unnoticed rows";
/// Rows are counted up to this.
const COUNT_LIMIT: i64 = 1_000;
/// A table that takes longer is not looked through to its end.
const TABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// A transaction so many before now cannot be told from one after it.
const TOO_OLD: i64 = 1 << 31;

/// When capture began on each table, modulo 2^32, and how many transactions ago.
const SINCE: &str = "
SELECT schema_name, table_name, (since::text::numeric % 4294967296)::bigint,
  (pg_snapshot_xmax(pg_current_snapshot())::text::numeric - since::text::numeric)::bigint
FROM lockstep.captured_table";

struct Since {
    transaction: i64,
    transactions_ago: i64,
}

pub(super) async fn look(source: &Source, mappings: &MappingSet, live: &Live) -> Result<Vec<Check>, CliError> {
    let client = source.connect(Session::Scan).await?;
    let timeout = format!("SET statement_timeout = {}", TABLE_TIMEOUT.as_millis());
    client.batch_execute(&timeout).await.map_err(SourceError::from)?;
    let rows = client.query(SINCE, &[]).await.map_err(SourceError::from)?;
    let mut findings = Vec::new();
    for row in &rows {
        let table = SourceTable { schema: row.get(0), name: row.get(1) };
        let since = Since { transaction: row.get(2), transactions_ago: row.get(3) };
        let reads = mappings.iter().filter(|mapping| mapping.source == table);
        let names: Vec<_> = reads.map(|mapping| mapping.name.to_string()).collect();
        // Its mapping may be gone since, or the table or its columns, which is said elsewhere.
        if !names.is_empty() && missing_capture_columns(&live.facts, &table).is_empty() {
            findings.extend(of_table(&client, &table, &since, &names).await?);
        }
    }
    Ok(or_ok(CHECK, "none that has never had a number", findings))
}

async fn of_table(
    client: &Client,
    table: &SourceTable,
    since: &Since,
    names: &[String],
) -> Result<Option<Check>, CliError> {
    let name = &table.name;
    let ask_the_verifier = "`lockstep-verifier` tells";
    if !(0..TOO_OLD).contains(&since.transactions_ago) {
        let detail = format!("{name}: capture began in another life of the server, or too many transactions ago");
        return Ok(Some(Check::unknown(CHECK, detail, ask_the_verifier)));
    }
    let asked = client.query_one(&bypassed::rows(table), &[&since.transaction, &COUNT_LIMIT]).await;
    let count: i64 = match asked {
        Ok(row) => row.get(0),
        Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
            let detail = format!("{name} was not looked through within {} s", TABLE_TIMEOUT.as_secs());
            return Ok(Some(Check::unknown(CHECK, detail, ask_the_verifier)));
        }
        Err(error) => return Err(SourceError::from(error).into()),
    };
    let at_least = if count >= COUNT_LIMIT { "at least " } else { "" };
    let detail = format!("{name}: {at_least}{count} written while the triggers did not fire");
    Ok((count > 0).then(|| Check::finding(CHECK, detail, resync_of(names))))
}
