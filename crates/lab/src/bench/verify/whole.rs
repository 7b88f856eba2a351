//! Fetching both sides whole, and forgetting them: less than whoever compares them outside of both would have to do.

use std::time::Instant;

use anyhow::Context;
use futures_util::TryStreamExt;
use lockstep_destinations::ClickHouse;
use tokio_postgres::Client;

use super::table::{COLUMNS, Filled};

/// Seconds.
pub(super) struct Whole {
    pub(super) one_after_the_other: f64,
    pub(super) at_the_same_time: f64,
}

pub(super) async fn fetch(filled: &Filled) -> anyhow::Result<Whole> {
    let kept = filled.kept();
    let began = Instant::now();
    let source = from_source(&filled.client).await?;
    let destination = from_clickhouse(&filled.clickhouse, &kept).await?;
    let one_after_the_other = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let both = tokio::try_join!(from_source(&filled.client), from_clickhouse(&filled.clickhouse, &kept))?;
    let at_the_same_time = began.elapsed().as_secs_f64();
    anyhow::ensure!(both == (source, destination) && source > 0 && destination > 0, "not all was fetched");
    Ok(Whole { one_after_the_other, at_the_same_time })
}

fn columns() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}

/// Bytes.
async fn from_source(client: &Client) -> anyhow::Result<usize> {
    let sql = format!(r#"COPY (SELECT "tenancyId", id, {} FROM bench_rows) TO STDOUT (FORMAT binary)"#, columns());
    let stream = client.copy_out(&sql).await.context("reading the source")?;
    Ok(stream.try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len()) }).await?)
}

/// Bytes.
async fn from_clickhouse(clickhouse: &ClickHouse, table: &str) -> anyhow::Result<usize> {
    let sql = format!("SELECT project_id, branch_id, id, {} FROM {table} FINAL FORMAT RowBinary", columns());
    Ok(clickhouse.stream(&sql).try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len()) }).await?)
}
