//! What capture noticed: flagged rows, tombstones and touches that wait, without a sequencer that would work them off.

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::stage::Stage;

/// One line for each table: how many rows wait, how many are gone, what was touched.
const NOTICED: &str = include_str!("noticed.sql");

/// A small world in which everything has its number, as after a pass of the sequencer.
pub(crate) async fn all_stamped() -> Result<Stage> {
    let stage = Stage::small().await?;
    stamp(&stage).await?;
    Ok(stage)
}

/// Does what a sequencer does to everything that waits.
pub(crate) async fn stamp(stage: &Stage) -> Result<()> {
    stage.sql(include_str!("stamp.sql")).await
}

/// Everything that waits, as `table number` in the order of names.
pub(crate) async fn noticed(client: &Client) -> Result<String> {
    let row = client.query_one(NOTICED, &[]).await.context("asking what was noticed")?;
    Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default())
}

/// Runs statements, says what was noticed, and undoes it all.
pub(crate) async fn noticed_of(stage: &Stage, statements: &str) -> Result<String> {
    stage.sql("BEGIN").await?;
    let outcome = async {
        stage.sql(statements).await?;
        stage.sql("RESET ROLE").await?;
        noticed(&stage.client).await
    };
    let outcome = outcome.await;
    stage.sql("ROLLBACK").await?;
    outcome
}
