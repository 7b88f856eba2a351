//! Two tenants, of whom one has a database that is in trouble, while ClickHouse and the other one go on (DEST-1).

use anyhow::{Context, Result, ensure};
use lockstep_core::shutdown::Shutdown;
use lockstep_testkit::installation::Program;
use lockstep_worker::{Limits, WorkerError};
use tokio::task::JoinHandle;

use crate::own_databases::OwnDatabase;
use crate::stage::Stage;

/// A worker in this process.
struct WorkerInside {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), WorkerError>>,
}

/// Sequencer and worker, and a database for each of the two tenants of `world.sql`.
pub(super) struct Scene {
    pub(super) stage: Stage,
    programs: Vec<Program>,
    worker_inside: Option<WorkerInside>,
    /// Of `engines`.
    pub(super) troubled: OwnDatabase,
    /// Of `compilers`.
    pub(super) healthy: OwnDatabase,
    edits: u32,
}

impl Scene {
    /// Everything is in step.
    pub(super) async fn begin() -> Result<Self> {
        let stage = Stage::small_with_tenants().await?;
        let engines = stage.id("engines").await?;
        let troubled = stage.add_destination(&engines, &[]).await?;
        Self::around(stage, troubled).await
    }

    /// With a database of `engines` that was made in some way of its own.
    pub(super) async fn around(stage: Stage, troubled: OwnDatabase) -> Result<Self> {
        Self::with_workers(stage, troubled, &[]).await
    }

    /// The same, with more settings of the worker's.
    pub(super) async fn with_workers(stage: Stage, troubled: OwnDatabase, changed: &[(&str, &str)]) -> Result<Self> {
        let programs = vec![stage.sequencer()?, stage.start_with("lockstep-worker", changed)?];
        Self::in_step(stage, troubled, programs, None).await
    }

    /// With a worker that has other limits than the program.
    pub(super) async fn with_limits(limits: Limits) -> Result<Self> {
        let stage = Stage::small_with_tenants().await?;
        let troubled = stage.add_destination(&stage.id("engines").await?, &[]).await?;
        let (settings, shutdown) = (stage.installation.settings(), Shutdown::new());
        let (clickhouse, stop) = (stage.installation.clickhouse()?, shutdown.clone());
        let task = tokio::spawn(async move { lockstep_worker::run_to(&settings, limits, clickhouse, stop).await });
        let programs = vec![stage.sequencer()?];
        Self::in_step(stage, troubled, programs, Some(WorkerInside { shutdown, task })).await
    }

    async fn in_step(
        stage: Stage,
        troubled: OwnDatabase,
        programs: Vec<Program>,
        worker_inside: Option<WorkerInside>,
    ) -> Result<Self> {
        let compilers = stage.id("compilers").await?;
        let healthy = stage.add_destination(&compilers, &[]).await?;
        stage.all_equal(&[&troubled, &healthy]).await?;
        Ok(Self { stage, programs, worker_inside, troubled, healthy, edits: 0 })
    }

    /// Rows of both tenants come, change and go.
    pub(super) async fn edit(&mut self) -> Result<()> {
        self.edits += 1;
        let n = self.edits;
        let statements = format!(
            r#"UPDATE "ProjectUser" SET "displayName" = 'edit {n}';
               UPDATE "Team" SET "displayName" = 'edit {n} ' || "teamId";
               DELETE FROM "ProjectUserRefreshToken" WHERE "refreshToken" = 'token {before}';
               INSERT INTO "ProjectUserRefreshToken" ("tenancyId", "id", "projectUserId", "refreshToken", "updatedAt")
               SELECT "tenancyId", gen_random_uuid(), "projectUserId", 'token {n}', now() FROM "ProjectUser" WHERE "projectUserId" = id('ada');
               UPDATE "ProjectUserRefreshToken" SET "lastActiveAt" = now()"#,
            before = n - 1,
        );
        self.stage.sql(&statements).await
    }

    /// Edits; ClickHouse and the other tenant show it, whatever is the matter with this one.
    pub(super) async fn others_go_on(&mut self) -> Result<()> {
        self.edit().await?;
        self.stage.until_equal(&[&self.healthy]).await.context("while a tenant's database is in trouble")
    }

    /// The registry says that it fails like this, since when and until when it rests; and nothing of the other one.
    pub(super) async fn until_failing(&mut self, code: &str) -> Result<()> {
        self.others_go_on().await?;
        let failing = format!(
            "failures > 0 AND failing_since IS NOT NULL AND retry_at IS NOT NULL AND error <> '' AND error_code = '{code}'"
        );
        self.stage.until_registered(&self.troubled, &format!("it to fail with {code}"), &failing).await?;
        let shown = self.stage.shown(&self.troubled).await?;
        ensure!(shown["state"] == "backing_off" && shown["error_code"] == code, "{shown}");
        self.stage.until_registered(&self.healthy, "no failure of the other tenant's", "failures = 0").await?;
        ensure!(!self.stage.judged(&self.troubled).await?.equal(), "it has what could not be shipped there");
        self.others_go_on().await
    }

    /// It is visited again by itself, catches up, and what failed is forgotten.
    pub(super) async fn until_recovered(&mut self) -> Result<()> {
        let well = "failures = 0 AND failing_since IS NULL AND error IS NULL AND NOT unfinished AND passed >= known";
        self.stage.until_registered(&self.troubled, "it to catch up", well).await?;
        self.edit().await?;
        self.stage.all_equal(&[&self.troubled, &self.healthy]).await
    }

    /// Ends everything.
    pub(super) async fn end(self) -> Result<()> {
        self.end_with([]).await
    }

    /// The same, with more databases.
    pub(super) async fn end_with(self, more: impl IntoIterator<Item = OwnDatabase>) -> Result<()> {
        if let Some(WorkerInside { shutdown, task }) = self.worker_inside {
            shutdown.cancel();
            task.await.context("the worker panicked")??;
        }
        self.stage.end_with(self.programs, [self.troubled, self.healthy].into_iter().chain(more)).await
    }
}
