//! A destination from its first day to its last: paused, changed, removed, erased.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use serde_json::Value;

use crate::own_databases::RECOVERED;
use crate::stage::Stage;

#[tokio::test]
async fn tenants_destination_that_is_paused_gets_nothing_and_then_everything() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    let engines = stage.id("engines").await?;
    let databases = [stage.add_destination(&engines, &[]).await?, stage.add_destination(&engines, &["users"]).await?];
    let [paused, running] = &databases;
    stage.all_equal(&[paused, running]).await?;
    let said = stage.destination(&["pause", &paused.id, "--reason", "they asked"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    // A visit that is under way ends first, perhaps with this.
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'first'"#).await?;
    stage.until_equal(&[running]).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'second'"#).await?;
    stage.until_equal(&[running]).await?;
    ensure!(paused.number("SELECT count(*) FROM users WHERE display_name = 'second'").await? == 0, "it was paused");
    let shown = stage.shown(paused).await?;
    ensure!(shown["state"] == "paused" && shown["paused"][0]["reason"] == "they asked", "{shown}");
    let said = stage.destination(&["resume", &paused.id]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    stage.all_equal(&[paused, running]).await?;
    stage.end_with(programs, databases).await
}

#[tokio::test]
async fn tenants_destination_that_is_removed_takes_its_tables_along_when_asked() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let engines = stage.id("engines").await?;
    let own = stage.add_destination(&engines, &[]).await?;
    stage.all_equal(&[&own]).await?;
    own.sql("CREATE TABLE theirs (n int); INSERT INTO theirs VALUES (7)").await?;
    // Without an answer, nothing is removed.
    let asked = stage.destination(&["remove", &own.id]).await?;
    ensure!(asked.code != Some(0) && stage.shown(&own).await?["id"] == own.id.as_str(), "{asked:?}");
    let removed = stage.destination(&["remove", &own.id, "--drop-tables", "--output", "json"]).await?;
    ensure!(removed.code == Some(0), "{removed:?}");
    let removed: Value = serde_json::from_str(&removed.stdout)?;
    ensure!(removed["removed_rows"]["users"] == 3, "{removed}");
    let left =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')";
    ensure!(own.number(left).await? == 1 && own.number("SELECT n::bigint FROM theirs").await? == 7);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'later'"#).await?;
    stage.equal().await?;
    ensure!(own.number(left).await? == 1, "tables came back");
    // The same database may be added again, and is filled anew.
    let connection = own.database.connection_string();
    let (tenancy, database) = (own.tenancy.clone(), own.database);
    drop(own.own);
    let again = stage.add_database(&tenancy, &[], database, &connection, &[]).await?;
    stage.all_equal(&[&again]).await?;
    stage.end_with(programs, [again]).await
}

/// Another password is a change of the connection: what failed before is tried at once.
#[tokio::test]
async fn tenants_destination_that_is_changed_is_filled_where_it_has_to_be() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let engines = stage.id("engines").await?;
    let own = stage.add_destination(&engines, &["users"]).await?;
    stage.all_equal(&[&own]).await?;
    let changed = stage.destination(&["change", &own.id, "--all-mappings"]).await?;
    ensure!(changed.code == Some(0), "{changed:?}");
    stage.in_step().await?;
    let report =
        lockstep_oracle::compare_tenant(&stage.client, &own.tenancy, &own.own, &crate::own_databases::all_mappings())
            .await?;
    ensure!(report.equal(), "{report}");
    stage.end_with(programs, [own]).await
}

#[tokio::test]
async fn tenants_resync_of_a_destination_of_another_tenancy_is_refused() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let (engines, compilers) = (stage.id("engines").await?, stage.id("compilers").await?);
    let own = stage.add_destination(&engines, &["users", "teams"]).await?;
    stage.all_equal(&[&own]).await?;
    let resync = ["resync", "--destination", &own.id, "--tenant"];
    let of = async |tenancy: &str| stage.installation.run("lockstep", &[&resync[..], &[tenancy]].concat()).await;
    let refused = of(&compilers).await?;
    ensure!(refused.code != Some(0) && refused.stderr.contains("LS-0230"), "{refused:?}");
    let asked = "SELECT count(*) FROM lockstep.tenant_mapping WHERE refill_requested_at IS NOT NULL";
    ensure!(stage.number(asked).await? == 0, "it is filled again");
    let begun = of(&engines).await?;
    ensure!(begun.code == Some(0), "its own tenancy may be named: {begun:?}");
    stage.all_equal(&[&own]).await?;
    stage.end_with(programs, [own]).await
}

#[tokio::test]
async fn erase_1_a_tenancy_that_is_gone_goes_from_its_own_databases() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    stage.installation.succeed("lockstep", &["settings", "set", "late_write_limit", "4 seconds"]).await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let (engines, compilers) = (stage.id("engines").await?, stage.id("compilers").await?);
    let reached = stage.add_destination(&engines, &[]).await?;
    let away = stage.add_destination(&engines, &["users", "teams"]).await?;
    let neighbour = stage.add_destination(&compilers, &[]).await?;
    stage.all_equal(&[&reached, &away, &neighbour]).await?;
    reached.sql("CREATE TABLE theirs (n int); INSERT INTO theirs VALUES (7)").await?;
    away.database.proxy().set(lockstep_testkit::proxy::Mode::Cut);
    stage.sql(r#"DELETE FROM "Project" WHERE "id" = 'engines'"#).await?;
    let receipt = |id: &str, more: &str| {
        format!(
            "SELECT count(*) FROM lockstep.erasure WHERE tenancy_id = '{engines}' AND destination = '{id}' AND {more}"
        )
    };
    stage.until("its receipt", &receipt(&reached.id, "finished_at IS NOT NULL"), 1).await?;
    let rows: Vec<_> = crate::own_databases::all_mappings()
        .into_iter()
        .map(|mapping| format!("(SELECT count(*) FROM {mapping})"))
        .collect();
    ensure!(reached.number(&format!("SELECT {}", rows.join(" + "))).await? == 0, "rows are left");
    ensure!(reached.number("SELECT n::bigint FROM theirs").await? == 7, "what is the tenant's is the tenant's");
    // The one that cannot be reached has an open receipt, which is told, until it can.
    stage.until("ClickHouse's receipt", &receipt("clickhouse", "finished_at IS NOT NULL"), 1).await?;
    ensure!(
        stage.number(&receipt(&away.id, "finished_at IS NULL")).await? == 1,
        "the receipt does not say what is left"
    );
    ensure!(away.number("SELECT count(*) FROM users").await? == 3);
    away.database.proxy().set(lockstep_testkit::proxy::Mode::Pass);
    eventually("the other receipt", RECOVERED, async || {
        Ok(stage.number(&receipt(&away.id, "finished_at IS NOT NULL")).await? == 1)
    })
    .await?;
    ensure!(away.number("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM teams)").await? == 0);
    stage.all_equal(&[&neighbour]).await.context("the neighbour")?;
    stage.end_with(programs, [reached, away, neighbour]).await
}
