//! What was captured: the lines that wait in the inbox, without a sequencer that would number them.

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::stage::Stage;

/// What the lines are about, and how many different ones there are.
const CAPTURED: &str = r#"
SELECT string_agg(line, ', ' ORDER BY line COLLATE "C") FROM (
    SELECT name || ' ' || count(*) AS line FROM (
        SELECT DISTINCT target, tenancy_id, project_id, branch_id, uuid_1, uuid_2, uuid_3, uuid_4, text_1, text_2, text_3, text_4
        FROM lockstep.inbox
    ) AS lines JOIN lockstep.target ON id = target
    GROUP BY name
) AS counted"#;

/// A small world of which nothing waits, as after a pass of the sequencer.
pub(crate) async fn all_numbered() -> Result<Stage> {
    let stage = Stage::small().await?;
    stage.sql("TRUNCATE lockstep.inbox_0, lockstep.inbox_1").await?;
    Ok(stage)
}

/// Everything that waits, as `target number` in the order of names.
pub(crate) async fn captured(client: &Client) -> Result<String> {
    let row = client.query_one(CAPTURED, &[]).await.context("asking what was captured")?;
    Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default())
}

/// Runs statements, says what was captured, and undoes it all.
pub(crate) async fn captured_of(stage: &Stage, statements: &str) -> Result<String> {
    stage.sql("BEGIN").await?;
    let outcome = async {
        stage.sql(statements).await?;
        stage.sql("RESET ROLE").await?;
        captured(&stage.client).await
    };
    let outcome = outcome.await;
    stage.sql("ROLLBACK").await?;
    outcome
}
