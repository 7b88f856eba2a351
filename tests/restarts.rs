//! ClickHouse with the memory of its machine gone: what was in the page cache is lost, and comes back by itself (CUR-1).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{PrivateClickHouse, eventually};
use lockstep_testkit::installation::{Installation, Program};

use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// What was written before this is on the disk.
const LONG_AGO: &str = "UPDATE lockstep.destination_passed SET at = at - interval '1 hour'";

struct Scene {
    stage: Stage,
    server: PrivateClickHouse,
    programs: [Program; 2],
}

/// In step, with all of it on the disk, and nothing merged from then on. None where there is no ClickHouse to start.
#[allow(clippy::print_stderr, reason = "told in the output of the test")]
async fn scene() -> Result<Option<Scene>> {
    let Some(server) = PrivateClickHouse::start(&[]).await? else {
        eprintln!("There is no ClickHouse to start here: its restart is not exercised.");
        return Ok(None);
    };
    let stage = Stage::of(Installation::create().await?.with_clickhouse(server.url())).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    // The fills are over, and the sweep has noted how far that is.
    stage.until("the fills to end", "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL", 0).await?;
    let noted =
        "SELECT (SELECT max(passed) FROM lockstep.destination_passed) - (SELECT passed FROM lockstep.destination)";
    stage.until("the sweep to note how far ClickHouse has come", noted, 0).await?;
    stage.sql(LONG_AGO).await?;
    stage.sql("UPDATE lockstep.fill SET finished_at = finished_at - interval '2 hours'").await?;
    stage.in_clickhouse("SYSTEM STOP MERGES").await?;
    Ok(Some(Scene { stage, server, programs }))
}

impl Scene {
    /// Names that come and go in the minute before the crash.
    async fn last_minute(&self) -> Result<()> {
        self.stage
            .sql(
                r#"UPDATE "ProjectUser" SET "displayName" = 'of the last minute';
                   DELETE FROM "ProjectUserDirectPermission" WHERE "projectUserId" = id('ada')"#,
            )
            .await?;
        self.stage.equal().await.map(drop)
    }

    async fn directory_of(&self, table: &str) -> Result<PathBuf> {
        let query = format!("SELECT data_paths[1] FROM system.tables WHERE database = '{{raw}}' AND name = '{table}'");
        Ok(PathBuf::from(self.stage.seen(&query).await?))
    }

    /// Kills the server, takes the newest part of each of these tables away, and starts it again.
    async fn crash(&mut self, tables: &[&str]) -> Result<()> {
        let mut directories = Vec::new();
        for table in tables {
            directories.push(self.directory_of(table).await?);
        }
        // When it was started is told to the second.
        self.stage.until_seen("the server to have run for a while", "SELECT uptime() > 5", "1").await?;
        self.server.kill().await?;
        for directory in directories {
            let newest = newest_part(&directory)?;
            fs::remove_dir_all(&newest).with_context(|| newest.display().to_string())?;
        }
        self.server.launch().await
    }

    async fn end(self) -> Result<()> {
        self.stage.end(self.programs).await
    }
}

fn newest_part(directory: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let number = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix("all_")?.split('_').next()?.parse().ok()
    };
    let parts = entries.into_iter().map(|entry| entry.path()).filter(|path| number(path).is_some());
    parts.max_by_key(number).with_context(|| format!("no part in {}", directory.display()))
}

const LOST: &str = "SELECT count() FROM {views}.users WHERE display_name = 'of the last minute'";

async fn comes_back(tables: &[&str]) -> Result<()> {
    let Some(mut scene) = scene().await? else { return Ok(()) };
    scene.last_minute().await?;
    let all = scene.stage.seen(LOST).await?;
    ensure!(all != "0");
    scene.crash(tables).await?;
    let (stage, endpoint) = (&scene.stage, scene.stage.installation.endpoint());
    eventually("everything to be equal again by itself", DEADLINE, async || {
        Ok(lockstep_oracle::compare(&stage.client, &endpoint).await?.equal())
    })
    .await?;
    ensure!(stage.seen(LOST).await? == all);
    stage.in_step().await?;
    stage.verified().await?;
    scene.end().await
}

#[tokio::test]
async fn restarts_rows_that_are_lost_below_their_cursors_come_back() -> Result<()> {
    comes_back(&["users", "project_permissions"]).await
}

#[tokio::test]
async fn restarts_cursors_that_are_lost_with_or_without_rows_come_back() -> Result<()> {
    comes_back(&["_stack_sync_metadata"]).await?;
    comes_back(&["_stack_sync_metadata", "users"]).await
}

/// A base has no changes: the mapping is filled again.
#[tokio::test]
async fn restarts_a_base_that_is_lost_is_read_again() -> Result<()> {
    let Some(mut scene) = scene().await? else { return Ok(()) };
    scene.stage.sql("UPDATE lockstep.fill SET finished_at = clock_timestamp() WHERE mapping_name = 'teams'").await?;
    let passed_since = "INSERT INTO lockstep.destination_passed (destination, passed) SELECT destination, max(passed) FROM lockstep.destination_passed GROUP BY 1";
    scene.stage.sql(passed_since).await?;
    scene.stage.in_clickhouse("TRUNCATE TABLE {raw}.teams").await?;
    scene.crash(&[]).await?;
    scene.stage.until_seen("the teams", "SELECT count() > 0 FROM {views}.teams", "1").await?;
    scene.stage.equal().await?;
    scene.end().await
}

#[tokio::test]
async fn restarts_fsync_is_a_setting_of_every_table() -> Result<()> {
    let stage = Stage::empty().await?;
    let on = "SELECT countIf(engine_full LIKE '%fsync_after_insert = 1%') = count() FROM system.tables WHERE database = '{raw}'";
    assert_eq!(stage.seen(on).await?, "0");
    for (value, expected) in [("on", "1"), ("off", "0")] {
        let mut migrate = with_changed(&stage, "lockstep", &[("LOCKSTEP_CLICKHOUSE_FSYNC", value)]);
        let done = ended(migrate.arg("migrate")).await?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(stage.seen(on).await?, expected, "{value}");
    }
    stage.end([]).await
}
