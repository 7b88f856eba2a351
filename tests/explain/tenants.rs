//! Tenants' own databases: each is told of by itself, and one that is down is said to be.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::proxy::Mode;
use serde_json::Value;

use super::{IN_STEP, NOT_LOOKED_AT, ON_ITS_WAY, WRONG, at, explained, in_clickhouse, says};
use crate::stage::Stage;

#[tokio::test]
async fn explain_tells_of_every_database_of_a_tenants_and_of_one_that_is_down() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let engines = stage.id("engines").await?;
    let (first, second) =
        (stage.add_destination(&engines, &[]).await?, stage.add_destination(&engines, &["users"]).await?);
    stage.all_equal(&[&first, &second]).await?;
    let ada = stage.id("ada").await?;
    let story = explained(&stage, "users", &ada, IN_STEP).await?;
    says(&story, "In step in all 3 destinations")?;
    for own in [&first, &second] {
        let part = at(&story, &own.id);
        ensure!(part["rows"][0]["holds"] == "live" && part["rows"][0]["copies"] == 1, "{part}");
        ensure!(part["cursor"].is_number() && part["fill"]["state"] == "filled", "{part}");
    }
    // The other database does not take this mapping.
    let team = explained(&stage, "teams", &stage.id("analytical").await?, IN_STEP).await?;
    ensure!(at(&team, &second.id).is_null() && !at(&team, &first.id).is_null(), "{team}");

    first.database.proxy().set(Mode::Cut);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('ada')"#).await?;
    stage.until_equal(&[&second]).await?;
    stage.until_registered(&first, "it to fail", "failures > 0").await?;
    let story = explained(&stage, "users", &ada, NOT_LOOKED_AT).await?;
    says(at(&story, &first.id), "could not be looked at: LS-0201")?;
    ensure!(at(&story, &first.id)["breaker"]["error_code"] == "LS-0201", "{story}");
    let others = [in_clickhouse(&story), at(&story, &second.id)];
    ensure!(others.iter().all(|part| part["verdict"] == "in_step"), "{story}");
    first.database.proxy().set(Mode::Pass);
    stage.until_registered(&first, "it to catch up", "failures = 0 AND NOT unfinished AND passed >= known").await?;
    stage.all_equal(&[&first, &second]).await?;
    paused_and_changed_there(&stage, &first, &ada).await?;
    stage.end_with(programs, [first, second]).await
}

/// What is kept from it, and what somebody did there by hand.
async fn paused_and_changed_there(stage: &Stage, own: &crate::own_databases::OwnDatabase, ada: &str) -> Result<()> {
    ensure!(stage.destination(&["pause", &own.id]).await?.code == Some(0), "it is not paused");
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'Ada' WHERE "projectUserId" = id('ada')"#).await?;
    stage.until_equal(&[]).await?;
    let story = explained(stage, "users", ada, ON_ITS_WAY).await?;
    says(at(&story, &own.id), &format!("destination {} paused since", own.id))?;
    ensure!(story["next"] == format!("lockstep resume destination {}", own.id), "{story}");
    ensure!(stage.destination(&["resume", &own.id]).await?.code == Some(0), "it is not resumed");
    stage.all_equal(&[own]).await?;
    own.sql("UPDATE users SET display_name = 'hunter2', is_anonymous = NOT is_anonymous").await?;
    let story = explained(stage, "users", ada, WRONG).await?;
    let columns = &at(&story, &own.id)["rows"][0]["columns"];
    ensure!(*columns == serde_json::json!(["display_name", "is_anonymous"]), "{story}");
    let next: Vec<_> = story["next"].as_str().context("a next step")?.split(' ').skip(1).collect();
    stage.installation.succeed("lockstep", &next).await?;
    let story: Value = explained(stage, "users", ada, IN_STEP).await?;
    ensure!(at(&story, &own.id)["rows"][0]["differs"].is_null(), "{story}");
    Ok(())
}
