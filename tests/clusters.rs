//! Tables that are spread over the shards of a cluster, by configuration alone.
//!
//! The embedded engine has neither Keeper nor a task queue: what runs `ON CLUSTER` is run on every server by the address in
//! front of them, with tables that are not replicated.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{CLUSTER, PrivateClickHouse};
use lockstep_testkit::fleet::Fleet;
use lockstep_testkit::installation::Installation;

use crate::programs::{ended, with_changed};
use crate::stage::Stage;

const SHARDS: usize = 2;

struct Scene {
    stage: Stage,
    shards: Vec<PrivateClickHouse>,
    /// Dropped last: programs speak to it.
    _fleet: Fleet,
}

#[allow(clippy::print_stderr, reason = "told in the output of the test")]
async fn scene() -> Result<Option<Scene>> {
    let Some(shards) = PrivateClickHouse::cluster(SHARDS).await? else {
        eprintln!("There is no ClickHouse to start here: clusters are not exercised.");
        return Ok(None);
    };
    let fleet = Fleet::shards(&shards.iter().map(PrivateClickHouse::url).collect::<Vec<_>>()).await?;
    let installation = Installation::create().await?.with_clickhouse(fleet.url()).on_cluster(CLUSTER);
    let stage = Stage::of(installation).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    Ok(Some(Scene { stage, shards, _fleet: fleet }))
}

impl Scene {
    /// What each shard answers to the same question.
    async fn each(&self, query: &str) -> Result<Vec<u64>> {
        let (raw, views) = (self.stage.installation.raw_database(), self.stage.installation.view_database());
        let mut answers = Vec::new();
        for shard in &self.shards {
            let answer = shard.client(&raw, &views)?.fetch_text(&query.replace("{raw}", &raw)).await?;
            answers.push(answer.trim().parse()?);
        }
        Ok(answers)
    }

    async fn on_each(&self, statement: &str) -> Result<()> {
        let (raw, views) = (self.stage.installation.raw_database(), self.stage.installation.view_database());
        for shard in &self.shards {
            shard.client(&raw, &views)?.execute(&statement.replace("{raw}", &raw)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn clusters_changes_arrive_on_their_shard_and_nothing_of_an_erased_tenancy_stays_on_any() -> Result<()> {
    let Some(scene) = scene().await? else { return Ok(()) };
    let stage = &scene.stage;
    let again = stage.migrate(&[]).await?;
    ensure!(again.stdout.contains(" 0 in ClickHouse"), "{}", again.stdout);
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.verified().await?;
    let spread = scene.each("SELECT uniqExact(tenancy_id) FROM {raw}._stack_sync_metadata_local").await?;
    ensure!(spread.iter().all(|cursors| *cursors > 0), "cursors are on one shard alone: {spread:?}");
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'changed'; DELETE FROM "TeamMember" WHERE "projectUserId" = id('ada')"#).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.installation.succeed("lockstep", &["settings", "set", "late_write_limit", "4 seconds"]).await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await?;
    let engines = "SELECT count() FROM {raw}.users_local WHERE project_id = 'engines'";
    ensure!(scene.each(engines).await?.iter().sum::<u64>() > 0);
    stage.sql(r#"DELETE FROM "Project" WHERE "id" = 'engines'"#).await?;
    let finished =
        "SELECT count(*) FROM lockstep.erasure WHERE finished_at IS NOT NULL AND (removed ->> 'users')::bigint > 0";
    stage.until("the receipt", finished, 1).await?;
    ensure!(scene.each(engines).await?.iter().all(|rows| *rows == 0), "rows are left on a shard");
    stage.equal().await?;
    scene.stage.end(programs).await
}

/// An insert into a distributed table may be acknowledged with its rows in a file of the first server: a cursor must not move
/// by that.
#[tokio::test]
async fn clusters_cur_1_rows_are_on_their_shard_before_a_cursor_moves() -> Result<()> {
    let Some(scene) = scene().await? else { return Ok(()) };
    let stage = &scene.stage;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for table in ["users", "_stack_sync_metadata"] {
        scene.on_each(&format!("SYSTEM STOP DISTRIBUTED SENDS {{raw}}.{table}")).await?;
    }
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'sent at once'"#).await?;
    stage.equal().await?;
    let waiting = scene.each("SELECT sum(data_files) FROM system.distribution_queue WHERE database = '{raw}'").await?;
    assert_eq!(waiting, [0; SHARDS]);
    scene.stage.end(programs).await
}

/// What one shard lacks is told by doctor and made by `migrate`.
#[tokio::test]
async fn clusters_a_shard_without_a_table_is_told_and_mended() -> Result<()> {
    let Some(scene) = scene().await? else { return Ok(()) };
    let (raw, views) = (scene.stage.installation.raw_database(), scene.stage.installation.view_database());
    let last = scene.shards.last().context("a shard")?.client(&raw, &views)?;
    last.execute(&format!("DROP TABLE {raw}.teams_local SYNC")).await?;
    last.execute(&format!("DROP VIEW {views}.users SYNC")).await?;
    let looked = ended(with_changed(&scene.stage, "lockstep", &[]).arg("doctor")).await?;
    let told = String::from_utf8_lossy(&looked.stdout).into_owned();
    for missing in [format!("create table {raw}.teams"), format!("create view {views}.users")] {
        ensure!(told.contains(&missing), "{missing} is not in\n{told}");
    }
    scene.stage.migrate(&[]).await?;
    assert_eq!(
        scene.each("SELECT count() FROM system.tables WHERE name = 'teams_local' AND database = '{raw}'").await?,
        [1, 1]
    );
    scene.stage.end([]).await
}
