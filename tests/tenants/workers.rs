//! IDEM-1, CUR-1, DEL-1 at a tenant's database: whoever comes late with what was read before brings nothing back.

use anyhow::{Context, Result, ensure};
use lockstep_core::TenancyId;
use lockstep_core::settings::DestinationTls;
use lockstep_destinations::Failure;
use lockstep_destinations::faulty::Faulty;
use lockstep_destinations::postgres::{ConnectionString, Postgres, reach};
use lockstep_worker::Flushed;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::background_edits::BackgroundEdits;
use crate::held_writes::{flusher, hints_of};
use crate::own_databases::OwnDatabase;
use crate::stage::{DEADLINE, Stage};

/// A worker inside the test that has read what is new for a mapping, and has not written it yet.
struct Stale {
    gate: Faulty<Postgres>,
    flush: JoinHandle<Flushed>,
}

impl Stale {
    async fn after_reading(stage: &Stage, own: &OwnDatabase, mapping: &str) -> Result<Self> {
        let network = reach(&stage.installation.settings()).map_err(anyhow::Error::msg)?;
        let text = SecretString::from(own.database.connection_string());
        let connection = ConnectionString::parse(&text, DestinationTls::Prefer)?;
        let tenancy = TenancyId::new(own.tenancy.parse()?);
        let id = lockstep_core::DestinationId::tenant(own.id.parse()?);
        let gate = Faulty::holding_writes(Postgres::new(id, tenancy, connection, network.into()));
        let (mut flusher, hints) = (flusher(stage, gate.clone())?, hints_of(&[tenancy], &[mapping])?);
        let flush = tokio::spawn(async move { flusher.flush(&hints).await });
        timeout(DEADLINE, gate.until_held(1)).await.context("no page was read")?;
        Ok(Self { gate, flush })
    }

    /// Lets it write, which has to fail since the cursor has moved on.
    async fn comes_late(self) -> Result<()> {
        self.gate.let_go();
        let flushed = self.flush.await.context("the flush panicked")?;
        let failure = flushed.destination_failure.as_ref().map(lockstep_destinations::DestinationError::failure);
        ensure!(failure == Some(Failure::Moved), "what was read before was written: {flushed:?}");
        Ok(())
    }
}

#[tokio::test]
async fn idem_1_a_stale_worker_brings_no_old_version_and_no_deleted_row_back_to_a_tenant() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    let own = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    stage.all_equal(&[&own]).await?;
    worker.stop().await?;
    // It reads Ada's old name, Mary who will be gone, and that Charles is gone, who will be back.
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'old'; DELETE FROM "ProjectUser" WHERE "projectUserId" = id('charles')"#).await?;
    stage.numbered().await?;
    let stale = Stale::after_reading(&stage, &own, "users").await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "displayName" = 'new';
               DELETE FROM "ProjectUser" WHERE "projectUserId" = id('mary');
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES (id('engines'), id('charles'), 'engines', 'main', 'back', now())"#,
        )
        .await?;
    let worker = stage.worker()?;
    stage.all_equal(&[&own]).await?;
    stale.comes_late().await?;
    stage.all_equal(&[&own]).await?;
    ensure!(own.number("SELECT count(*) FROM users WHERE display_name = 'old'").await? == 0);
    ensure!(own.number("SELECT count(*) FROM users").await? == 2);
    stage.end_with([sequencer, worker], [own]).await
}

/// The same across a refill: what was read before it began is not written after it has ended.
#[tokio::test]
async fn idem_1_a_stale_worker_does_not_write_across_a_refill_of_a_tenant() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    let own = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    stage.all_equal(&[&own]).await?;
    worker.stop().await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'old'"#).await?;
    stage.numbered().await?;
    let stale = Stale::after_reading(&stage, &own, "users").await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'new'; DELETE FROM "ProjectUser" WHERE "projectUserId" = id('mary')"#).await?;
    stage.numbered().await?;
    let worker = stage.worker()?;
    stage.installation.succeed("lockstep", &["resync", "--destination", &own.id, "--mapping", "users"]).await?;
    stale.comes_late().await?;
    stage.all_equal(&[&own]).await?;
    stage.end_with([sequencer, worker], [own]).await
}

/// Whatever waits for nothing, of any program: claims are held by such sessions.
const END_CLAIMS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'lockstep control %' AND state = 'idle'";

/// Three workers, two of them stopped and continued in turn while rows change.
#[tokio::test]
async fn tenants_are_equal_with_workers_that_stand_still_and_go_on() -> Result<()> {
    let stage = Stage::small_with_tenants().await?;
    let sequencer = stage.sequencer()?;
    let workers = [stage.worker()?, stage.worker()?, stage.worker()?];
    let own = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    let other = stage.add_destination(&stage.id("compilers").await?, &[]).await?;
    let editor = BackgroundEdits::start(&stage, 94).await?;
    for round in 0..6 {
        let worker = &workers[round % 2];
        worker.signal("STOP").await?;
        // Its claims end with its sessions, as they do when a machine is gone.
        stage.number(END_CLAIMS).await?;
        editor.go_on(20).await?;
        worker.signal("CONT").await?;
        editor.go_on(5).await?;
    }
    editor.stop().await?;
    stage.all_equal(&[&own, &other]).await?;
    stage.end_with([sequencer].into_iter().chain(workers), [own, other]).await
}
