//! A row that is wrong: which way, in which columns, and what mends it.

use anyhow::{Context, Result, ensure};

use super::{IN_STEP, WRONG, explained, in_clickhouse, says};
use crate::quarantine::all_else_in_step;
use crate::stage::Stage;

#[tokio::test]
async fn explain_names_the_columns_of_content_that_nobody_shipped_and_the_command_that_mends_it() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let (ada, mary) = (stage.id("ada").await?, stage.id("mary").await?);
    let copied = |changed: &str, id: &str| {
        format!("INSERT INTO {{raw}}.users SELECT * REPLACE ({changed}) FROM {{raw}}.users FINAL WHERE id = '{id}'")
    };
    stage.in_clickhouse(&copied("'hunter2' AS display_name", &ada)).await?;
    stage.in_clickhouse(&copied("1 AS sync_is_deleted", &mary)).await?;
    let story = explained(&stage, "users", &ada, WRONG).await?;
    let row = &in_clickhouse(&story)["rows"][0];
    ensure!(row["differs"] == "different" && row["columns"] == serde_json::json!(["display_name"]), "{row}");
    says(&story, "other values in display_name, and nothing is on its way")?;
    let lost = explained(&stage, "users", &mary, WRONG).await?;
    says(&lost, "it lacks the row")?;
    // The sentence names a command that mends it.
    let next = story["next"].as_str().context("a next step")?;
    let words: Vec<_> = next.split(' ').skip(1).collect();
    stage.installation.succeed("lockstep", &words).await?;
    explained(&stage, "users", &ada, IN_STEP).await?;
    explained(&stage, "users", &mary, IN_STEP).await?;
    stage.end(programs).await
}

#[tokio::test]
async fn explain_says_that_a_row_is_in_quarantine_and_how_it_gets_out() -> Result<()> {
    let stage = Stage::small().await?;
    stage
        .in_clickhouse(
            "ALTER TABLE {raw}.users ADD CONSTRAINT none CHECK NOT like(ifNull(display_name, ''), '%hunter2%')",
        )
        .await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let ada = stage.id("ada").await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada')"#).await?;
    all_else_in_step(&stage).await?;
    let story = explained(&stage, "users", &ada, WRONG).await?;
    says(&story, "the row is in quarantine with LS-0203")?;
    let refused = &in_clickhouse(&story)["quarantine"][0];
    ensure!(refused["sequence"] == story["tenancies"][0]["changes"]["last"][0]["sequence"], "{story}");
    ensure!(story["next"].as_str().is_some_and(|next| next.contains("lockstep quarantine retry")), "{story}");
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    explained(&stage, "users", &ada, IN_STEP).await?;
    stage.end(programs).await
}
