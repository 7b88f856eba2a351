//! Fills that a test asks for.

use anyhow::Context;
use lockstep_core::DestinationId;
use lockstep_mappings::Mapping;
use lockstep_schema::fills;
use tokio_postgres::Client;

/// Begins the fill of a mapping for ClickHouse, in a transaction of its own, as `lockstep migrate` and the sequencer do in
/// theirs.
///
/// # Errors
/// When Postgres refuses.
pub async fn begin(client: &Client, mapping: &Mapping) -> anyhow::Result<()> {
    let statements = fills::begin(mapping, &DestinationId::clickhouse(), "asked for by a test").join(";\n");
    client.batch_execute(&format!("BEGIN;\n{statements};\nCOMMIT")).await.context("beginning a fill")
}
