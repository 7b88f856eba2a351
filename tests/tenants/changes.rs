//! Whatever happens to the rows of a tenancy, its own databases show it: each the mappings that go there, and no other row.

use anyhow::{Context, Result, ensure};

use crate::own_databases::all_mappings;
use crate::stage::Stage;

/// The steps of `changes.sql`, each with its name.
fn steps() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("changes.sql").split("-- step: ").skip(1).filter_map(|step| step.split_once('\n'))
}

/// Steps of each of the three parts below.
const PART: usize = 6;

/// Makes the steps before a part at once, and each of the part with a look at everybody.
async fn every_change(part: usize) -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let (engines, compilers) = (stage.id("engines").await?, stage.id("compilers").await?);
    let all = stage.add_destination(&engines, &[]).await?;
    let neighbour = stage.add_destination(&compilers, &[]).await?;
    stage.all_equal(&[&all, &neighbour]).await?;
    for (name, step) in steps().take(part * PART) {
        stage.sql(step).await.with_context(|| format!("the step: {name}"))?;
    }
    for (name, step) in steps().skip(part * PART).take(PART) {
        stage.sql(step).await.with_context(|| format!("the step: {name}"))?;
        stage.all_equal(&[&all, &neighbour]).await.with_context(|| format!("after the step: {name}"))?;
    }
    let cursors = r#"SELECT count(*) FROM "_stack_sync_metadata" WHERE last_synced_sequence_id > 0"#;
    ensure!(all.number(cursors).await? == 12, "not every mapping has its cursor");
    stage.end_with(programs, [all, neighbour]).await
}

#[tokio::test]
async fn tenants_see_rows_come_change_their_keys_and_leave_their_mapping() -> Result<()> {
    every_change(0).await
}

#[tokio::test]
async fn tenants_see_rows_go_come_back_and_move_with_their_tenancy() -> Result<()> {
    every_change(1).await
}

#[tokio::test]
async fn tenants_see_cascades_truncates_and_a_tenancy_that_comes_back() -> Result<()> {
    every_change(2).await?;
    ensure!(steps().count() == 3 * PART, "there are steps that nobody looks at");
    Ok(())
}

/// A test of changes is one only where there are rows to change.
#[tokio::test]
async fn tenants_have_rows_in_all_twelve_tables_and_a_view_that_says_how_fresh_they_are() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let engines = stage.id("engines").await?;
    let all = stage.add_destination(&engines, &[]).await?;
    stage.in_step().await?;
    let report = stage.assert_tenant_equal(&all).await?;
    ensure!(report.mappings.len() == 12);
    for mapping in &report.mappings {
        ensure!(mapping.destination_rows > 0, "{} has no rows", mapping.mapping);
    }
    let fresh = "SELECT count(*) FROM lockstep_status WHERE state = 'streaming' AND through_sequence_id > 0 AND of_time <= now()";
    ensure!(all.number(fresh).await? == 12, "the tenant does not see how fresh its tables are");
    // Everybody may read there, and nobody but the owner writes.
    let reader = format!("reader_{}", all.database.role());
    all.sql(&format!("CREATE ROLE {reader}; SET ROLE {reader}")).await?;
    for table in all_mappings().into_iter().chain(["_stack_sync_metadata", "lockstep_status"]) {
        all.number(&format!(r#"SELECT count(*) FROM "{table}""#)).await?;
    }
    ensure!(all.sql("DELETE FROM users").await.is_err() && all.sql("TRUNCATE teams").await.is_err());
    all.sql(&format!("RESET ROLE; DROP ROLE {reader}")).await?;
    stage.end_with(programs, [all]).await
}

#[tokio::test]
async fn tenants_with_several_destinations_have_in_each_what_goes_there() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let (engines, compilers) = (stage.id("engines").await?, stage.id("compilers").await?);
    let databases = [
        stage.add_destination(&engines, &[]).await?,
        stage.add_destination(&engines, &["users", "team_invitations"]).await?,
        stage.add_destination(&compilers, &["users", "teams", "connected_accounts"]).await?,
        stage.add_destination(&compilers, &["email_outboxes"]).await?,
        stage.add_destination(&compilers, &[]).await?,
    ];
    // They were there before the programs.
    let programs = [stage.sequencer()?, stage.worker()?];
    let references: Vec<_> = databases.iter().collect();
    stage.all_equal(&references).await?;
    for own in &databases {
        let listed = stage.shown(own).await?;
        ensure!(listed["state"] == "in_step" && listed["tenancy"] == own.tenancy.as_str(), "{listed}");
    }
    for (name, step) in steps().filter(|(name, _)| !name.contains("tenancy")) {
        stage.sql(&step.replace("'calculators'", "'engines'")).await.with_context(|| format!("the step: {name}"))?;
    }
    stage.all_equal(&references).await?;
    // One of them is taken away; the others go on.
    let [first, second, rest @ ..] = databases;
    let removed = stage.destination(&["remove", &second.id, "--keep-tables"]).await?;
    ensure!(removed.code == Some(0), "{removed:?}");
    let users = second.number("SELECT count(*) FROM users").await?;
    stage.sql(r#"DELETE FROM "ProjectUser""#).await?;
    let left: Vec<_> = [&first].into_iter().chain(&rest).collect();
    stage.all_equal(&left).await?;
    ensure!(users > 0 && second.number("SELECT count(*) FROM users").await? == users, "its tables were to stay");
    stage.end_with(programs, [first, second].into_iter().chain(rest)).await
}
