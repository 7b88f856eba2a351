//! A dump that is loaded into the running database: no server stops, and everything in it is of an earlier time.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{client_program, eventually};
use uuid::Uuid;

use super::{HEAD, LATER_CHANGES, LOST_CHANGES, refuses};
use crate::stage::{DEADLINE, Stage};

/// A dump of a database.
struct Dump {
    file: PathBuf,
}

impl Dump {
    async fn of(stage: &Stage) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("lockstep-dump-{}", Uuid::new_v4().simple()));
        let made = client_program("pg_dump", major(stage).await?)?
            .args(["--format=custom", "--file"])
            .arg(&file)
            .arg(stage.installation.database().url())
            .output()
            .await
            .context("running pg_dump")?;
        ensure!(made.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&made.stderr));
        Ok(Self { file })
    }

    /// Loads it, with these options. Not everything that is there can be dropped: what fails is left out, and said.
    async fn load(&self, stage: &Stage, options: &[&str]) -> Result<String> {
        let loaded = client_program("pg_restore", major(stage).await?)?
            .args(["--clean", "--if-exists", "--dbname", stage.installation.database().url()])
            .args(options)
            .arg(&self.file)
            .output()
            .await
            .context("running pg_restore")?;
        Ok(String::from_utf8_lossy(&loaded.stderr).into_owned())
    }
}

/// The server's major version.
async fn major(stage: &Stage) -> Result<u32> {
    let version = stage.number("SELECT current_setting('server_version_num')::bigint / 10000").await?;
    Ok(u32::try_from(version)?)
}

impl Drop for Dump {
    fn drop(&mut self) {
        // A temporary file: nothing is lost when it stays.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Loads an earlier state under running programs, and mends it with `lockstep rewind`.
async fn is_noticed_and_mended(options: &[&str]) -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let head = stage.number(HEAD).await?;
    let dump = Dump::of(&stage).await?;
    stage.sql(LOST_CHANGES).await?;
    stage.equal().await?;
    let said = dump.load(&stage, options).await?;
    assert_eq!(stage.number(HEAD).await?, head, "the dump was not loaded: {said}");
    stage.sql(LATER_CHANGES).await?;
    refuses(&programs[0]).await?;
    assert_eq!(stage.number(HEAD).await?, head, "numbers were given out before it was mended");
    stage.installation.succeed("lockstep", &["rewind"]).await?;
    stage.equal().await?;
    // And it goes on, with triggers of which nobody can say any more that they are as they were made.
    stage.migrate(&["--standalone"]).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'after it was mended'; UPDATE "Tenancy" SET "branchId" = 'moved on'"#).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn src_1_a_dump_of_the_database_that_is_loaded_into_it_is_noticed_and_mended() -> Result<()> {
    is_noticed_and_mended(&[]).await
}

#[tokio::test]
async fn src_1_a_dump_of_schema_lockstep_that_is_loaded_into_it_is_noticed_and_mended() -> Result<()> {
    is_noticed_and_mended(&["--schema", "lockstep"]).await
}

/// No number is ahead anywhere, because what was numbered has not arrived yet.
#[tokio::test]
async fn src_1_changes_that_a_dump_takes_away_before_they_arrive_are_made_up_for() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let dump = Dump::of(&stage).await?;
    worker.stop().await?;
    stage.sql(LOST_CHANGES).await?;
    stage.numbered().await?;
    dump.load(&stage, &["--schema", "lockstep"]).await?;
    stage.sql(LATER_CHANGES).await?;
    let says = async || Ok(sequencer.logged()?.contains("LS-0513"));
    eventually("the sequencer to say it", DEADLINE, says).await?;
    let worker = stage.worker()?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}
