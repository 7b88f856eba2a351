//! Two replicas behind one address, one of which is behind: nothing is taken for what it was (VER-1, ERASE-1, CUR-1).
//!
//! The embedded engine has no Keeper, so the writes of one server are given to the other by the address itself. It refuses reads
//! of a replica that is behind where they ask for sequential consistency, as ClickHouse does, and answers all others from the past.

use anyhow::{Result, ensure};
use lockstep_destinations::ClickHouse;
use lockstep_testkit::databases::{PrivateClickHouse, eventually};
use lockstep_testkit::fleet::Fleet;
use lockstep_testkit::installation::{Installation, Program};

use crate::stage::{DEADLINE, Stage};

struct Scene {
    stage: Stage,
    servers: [PrivateClickHouse; 2],
    fleet: Fleet,
    programs: [Program; 2],
}

#[allow(clippy::print_stderr, reason = "told in the output of the test")]
async fn scene() -> Result<Option<Scene>> {
    let (Some(first), Some(second)) = (PrivateClickHouse::start(&[]).await?, PrivateClickHouse::start(&[]).await?)
    else {
        eprintln!("There is no ClickHouse to start here: replicas are not exercised.");
        return Ok(None);
    };
    let fleet = Fleet::replicas(&[first.url(), second.url()]).await?;
    let stage = Stage::of(Installation::create().await?.with_clickhouse(fleet.url())).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.in_step().await?;
    Ok(Some(Scene { stage, servers: [first, second], fleet, programs }))
}

impl Scene {
    fn replica(&self, index: usize) -> Result<ClickHouse> {
        let installation = &self.stage.installation;
        self.servers[index].client(&installation.raw_database(), &installation.view_database())
    }

    async fn rows_at(&self, index: usize, project: &str) -> Result<String> {
        let table = format!("{}.users", self.stage.installation.raw_database());
        let query = format!("SELECT count() FROM {table} WHERE project_id = '{project}'");
        Ok(self.replica(index)?.fetch_text(&query).await?.trim().to_owned())
    }

    /// Lets the second replica have what it lacks as soon as a read was refused there.
    async fn let_go_after_a_refusal(&self) -> Result<()> {
        let (_, before) = self.fleet.stale_and_refused();
        let refused = async || Ok(self.fleet.stale_and_refused().1 > before);
        eventually("a replica that is behind to be asked", DEADLINE, refused).await?;
        self.fleet.let_go();
        Ok(())
    }

    async fn end(self) -> Result<()> {
        let (stale, _) = self.fleet.stale_and_refused();
        ensure!(stale == 0, "{stale} reads were answered from the past");
        self.stage.end(self.programs).await
    }
}

#[tokio::test]
async fn replicas_one_that_is_behind_is_neither_believed_nor_taken_for_a_difference() -> Result<()> {
    let Some(scene) = scene().await? else { return Ok(()) };
    for round in 0..3 {
        scene.fleet.hold();
        let name = format!("round {round}");
        scene.stage.sql(&format!(r#"UPDATE "ProjectUser" SET "displayName" = '{name}'"#)).await?;
        let (waited, let_go) = tokio::join!(scene.stage.in_step(), scene.let_go_after_a_refusal());
        waited.and(let_go)?;
        scene.fleet.hold();
        scene.stage.sql(&format!(r#"UPDATE "Team" SET "displayName" = '{name}'"#)).await?;
        let (verified, let_go) = tokio::join!(scene.stage.verifier(&[]), scene.let_go_after_a_refusal());
        let verified = verified?;
        ensure!(matches!(verified.code, Some(0 | 2)), "{:?}: {}", verified.code, verified.stdout);
        let_go?;
    }
    scene.stage.in_step().await?;
    scene.stage.verified().await?;
    scene.end().await
}

#[tokio::test]
async fn replicas_no_receipt_comes_before_every_replica_has_lost_the_rows() -> Result<()> {
    let Some(scene) = scene().await? else { return Ok(()) };
    let stage = &scene.stage;
    stage.installation.succeed("lockstep", &["settings", "set", "late_write_limit", "4 seconds"]).await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await?;
    let engines: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    ensure!(scene.rows_at(1, "engines").await? != "0");
    stage.sql(r#"DELETE FROM "Project" WHERE "id" = 'engines'"#).await?;
    stage.in_step().await?;
    scene.fleet.hold();
    eventually("the first replica to lose the rows", DEADLINE, async || Ok(scene.rows_at(0, "engines").await? == "0"))
        .await?;
    ensure!(scene.rows_at(1, "engines").await? != "0", "the second was not held back");
    let proven =
        format!("SELECT count(*) FROM lockstep.erasure WHERE tenancy_id = '{engines}' AND proven_at IS NOT NULL");
    scene.let_go_after_a_refusal_with_no(&proven).await?;
    stage.until("the receipt", &proven, 1).await?;
    assert_eq!(scene.rows_at(1, "engines").await?, "0");
    scene.end().await
}

impl Scene {
    /// As [`Scene::let_go_after_a_refusal`]; until then this counts nothing.
    async fn let_go_after_a_refusal_with_no(&self, count: &str) -> Result<()> {
        let (_, before) = self.fleet.stale_and_refused();
        let refused = async || Ok(self.fleet.stale_and_refused().1 > before + 2);
        eventually("a replica that is behind to be asked", DEADLINE, refused).await?;
        ensure!(self.stage.number(count).await? == 0, "a receipt while the second replica has the rows");
        self.fleet.let_go();
        Ok(())
    }
}
