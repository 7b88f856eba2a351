//! How far ClickHouse has come, and with which source: one column of each table is read.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use lockstep_core::{MappingName, SequenceId, SourceIdentity};
use lockstep_mappings::clickhouse::{cursor_table_name, literal, source_table_name};

use super::{ClickHouse, Timeouts};
use crate::error::DestinationError;
use crate::high_water::{HighWater, Marks};

/// For the highest number of a table. Shorter than a poll of the sequencer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

impl HighWater for ClickHouse {
    fn marks<'a>(&'a self, mappings: &'a [MappingName]) -> BoxFuture<'a, Result<Marks, DestinationError>> {
        read_marks(self, mappings).boxed()
    }

    fn last_source(&self) -> BoxFuture<'_, Result<Option<SourceIdentity>, DestinationError>> {
        async {
            if !raw_tables(self).await?.contains(source_table_name()) {
                return Ok(None);
            }
            let table = self.raw_table(source_table_name());
            let sql = format!("SELECT system_identifier, timeline FROM {table} ORDER BY seen_at DESC LIMIT 1");
            let rows: Vec<(String, u32)> = self.fetch_rows(&sql).await?;
            let identity = |(system_identifier, timeline)| SourceIdentity { system_identifier, timeline };
            Ok(rows.into_iter().next().map(identity))
        }
        .boxed()
    }

    fn write_source<'a>(&'a self, source: &'a SourceIdentity) -> BoxFuture<'a, Result<(), DestinationError>> {
        async {
            if !raw_tables(self).await?.contains(source_table_name()) {
                return Ok(());
            }
            let SourceIdentity { system_identifier, timeline } = source;
            self.execute(&format!(
                "INSERT INTO {} (singleton, system_identifier, timeline) VALUES (0, {}, {timeline})",
                self.raw_table(source_table_name()),
                literal(system_identifier)
            ))
            .await
        }
        .boxed()
    }
}

async fn read_marks(clickhouse: &ClickHouse, mappings: &[MappingName]) -> Result<Marks, DestinationError> {
    // One that hangs is not waited for as long as a whole column may take.
    clickhouse.ping().await?;
    let timeouts = Timeouts { statement: ANSWER_TIMEOUT, ..clickhouse.timeouts() };
    let clickhouse = clickhouse.clone().with_timeouts(timeouts);
    let tables = raw_tables(&clickhouse).await?;
    let highest_version = |mapping: &MappingName| {
        let (name, table) = (literal(mapping.as_str()), clickhouse.raw_table(mapping.as_str()));
        format!("SELECT {name}, max(sync_sequence_id) FROM {table}")
    };
    let there = mappings.iter().filter(|mapping| tables.contains(mapping.as_str()));
    let versions: Vec<_> = there.map(highest_version).collect();
    let mut marks = Marks::default();
    if !versions.is_empty() {
        for (name, version) in numbers(&clickhouse, &versions.join("\nUNION ALL ")).await? {
            marks.0.entry(name).or_default().version = version;
        }
    }
    if tables.contains(cursor_table_name()) {
        let table = clickhouse.raw_table(cursor_table_name());
        let sql = format!("SELECT mapping_name, max(last_synced_sequence_id) FROM {table} GROUP BY mapping_name");
        for (name, cursor) in numbers(&clickhouse, &sql).await? {
            if mappings.contains(&name) {
                marks.0.entry(name).or_default().cursor = cursor;
            }
        }
    }
    Ok(marks)
}

async fn raw_tables(clickhouse: &ClickHouse) -> Result<BTreeSet<String>, DestinationError> {
    let database = literal(&clickhouse.databases.raw);
    let sql = format!("SELECT name FROM system.tables WHERE database = {database}");
    let names: Vec<(String,)> = clickhouse.fetch_rows(&sql).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

async fn numbers(clickhouse: &ClickHouse, sql: &str) -> Result<Vec<(MappingName, SequenceId)>, DestinationError> {
    let rows: Vec<(String, i64)> = clickhouse.fetch_rows(sql).await?;
    // A name that is none of ours was left by another system in the same table.
    let known = rows.into_iter().filter_map(|(name, number)| Some((name.parse().ok()?, SequenceId::new(number))));
    Ok(known.collect())
}
