//! Attached: a database that another tool owns, with rows in every state, is captured and synced, and nothing of it changes.

mod catalog;
mod clickhouse;
mod refusals;

use anyhow::{Result, bail, ensure};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::{attached, edits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;

use crate::stage::Stage;

const EDITS: usize = 200;

/// Which platform.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Platform {
    /// Never synced.
    Bare,
    /// Synced by a former system.
    FormerSync,
}

/// A platform with rows, before Lockstep.
async fn platform(kind: Platform) -> Result<Stage> {
    let stage = Stage::of(Installation::create().await?).await?;
    match kind {
        Platform::Bare => attached::bare(&stage.client).await?,
        Platform::FormerSync => attached::former_sync(&stage.client).await?,
    }
    Ok(stage)
}

#[tokio::test]
async fn attached_a_platform_that_never_synced_arrives_and_stays_in_step() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    stage.migrate(&[]).await?;
    arrives_and_stays_in_step(stage).await
}

#[tokio::test]
async fn attached_rows_and_tombstones_of_a_former_sync_arrive_and_stay_in_step() -> Result<()> {
    let stage = platform(Platform::FormerSync).await?;
    // Tombstones that can be read, tombstones of rows that exist again, and such as say too little or nothing.
    ensure!(stage.number(r#"SELECT count(*) FROM "DeletedRow""#).await? > 100, "the former sync left no tombstones");
    let last = stage.number(r#"SELECT max("sequenceId") FROM "ProjectUser""#).await?;
    stage.migrate(&[]).await?;
    let stage = arrives_and_stays_in_step_keeping(stage).await?;
    // The sequence goes on in its own steps, and never again from its start.
    ensure!(stage.number("SELECT last_value FROM global_seq_id").await? > last, "the sequence was restarted");
    ensure!(
        stage.number("SELECT seqincrement FROM pg_sequence WHERE seqrelid = 'global_seq_id'::regclass").await? == 11
    );
    stage.end([]).await
}

async fn arrives_and_stays_in_step(stage: Stage) -> Result<()> {
    arrives_and_stays_in_step_keeping(stage).await?.end([]).await
}

async fn arrives_and_stays_in_step_keeping(stage: Stage) -> Result<Stage> {
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    let report = stage.equal().await?;
    ensure!(report.mappings.iter().all(|mapping| mapping.source_rows > 0), "a mapping has no rows:\n{report}");
    stage.verified().await?;
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..EDITS {
        edits::one(&stage.client, &mut rng).await?;
    }
    stage.equal().await?;
    stage.verified().await?;
    for program in programs {
        program.stop().await?;
    }
    Ok(stage)
}

#[tokio::test]
async fn attached_migrate_adds_what_capture_needs_and_changes_nothing_else() -> Result<()> {
    for kind in [Platform::Bare, Platform::FormerSync] {
        let stage = platform(kind).await?;
        let before = catalog::lines(&stage.client).await?;
        let rows = rows(&stage.client).await?;
        let printed = stage.migrate(&["--dry-run"]).await?.stdout;
        assert!(printed.contains("CREATE INDEX CONCURRENTLY") && printed.contains("CREATE TABLE"), "{printed}");
        assert_eq!(catalog::lines(&stage.client).await?, before, "--dry-run changed the catalog");
        assert_eq!(clickhouse::databases(&stage).await?, 0, "--dry-run made a database in ClickHouse");

        stage.migrate(&[]).await?;
        let after = catalog::lines(&stage.client).await?;
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "migrate changed or dropped {lost:#?}");
        let foreign: Vec<_> = after.difference(&before).filter(|line| !catalog::is_lockstep(line)).collect();
        assert!(foreign.is_empty(), "migrate added {foreign:#?}");
        if kind == Platform::FormerSync {
            assert_eq!(self::rows(&stage.client).await?, rows, "migrate wrote to rows");
        }

        let again = stage.migrate(&[]).await?;
        assert!(again.stdout.starts_with("Nothing to do"), "{}{}", again.stderr, again.stdout);
        assert_eq!(catalog::lines(&stage.client).await?, after, "the second run changed the catalog");
        stage.end([]).await?;
    }
    Ok(())
}

/// A digest of the places and contents of all users and invitations.
async fn rows(client: &Client) -> Result<String> {
    let digest = r#"SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
        SELECT u.ctid::text || u.xmin::text || u::text AS line FROM "ProjectUser" u
        UNION ALL SELECT c.ctid::text || c.xmin::text || c::text FROM "VerificationCode" c) AS lines"#;
    Ok(client.query_one(digest, &[]).await?.try_get(0)?)
}

#[tokio::test]
async fn attached_an_index_that_a_killed_run_left_invalid_is_rebuilt() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    stage.migrate(&[]).await?;
    let invalid = "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid IN ('\"lockstep_Team_flagged\"'::regclass, '\"lockstep_team_invitations_team\"'::regclass)";
    stage.sql(invalid).await?;
    let again = stage.migrate(&[]).await?;
    assert!(again.stdout.contains("2 steps in Postgres, 0 in ClickHouse"), "{}", again.stdout);
    let still = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(stage.number(still).await?, 0);
    let there =
        "SELECT count(*) FROM pg_class WHERE relname IN ('lockstep_Team_flagged', 'lockstep_team_invitations_team')";
    assert_eq!(stage.number(there).await?, 2);
    stage.end([]).await
}

#[tokio::test]
async fn attached_a_run_that_was_killed_is_continued_by_the_next() -> Result<()> {
    let stage = platform(Platform::FormerSync).await?;
    // Somebody writes: triggers cannot be installed before they end.
    killed_while_it_waits(&stage, r#"UPDATE "TeamMember" SET "updatedAt" = now()"#).await?;
    let installed =
        "SELECT count(*) FROM pg_trigger t WHERE tgname LIKE 'lockstep%' AND tgrelid = '\"ContactChannel\"'::regclass";
    ensure!(stage.number(installed).await? > 0, "it was killed before it had done anything");
    stage.migrate(&[]).await?;
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    stage.end([]).await
}

#[tokio::test]
async fn attached_an_index_build_that_was_killed_is_done_again() -> Result<()> {
    let stage = platform(Platform::Bare).await?;
    stage.migrate(&[]).await?;
    stage.sql(r#"DROP INDEX "lockstep_Team_flagged""#).await?;
    killed_while_it_waits(&stage, r#"UPDATE "Team" SET "updatedAt" = now()"#).await?;
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(stage.number(invalid).await?, 1, "the build that was killed left no invalid index");
    stage.migrate(&[]).await?;
    assert_eq!(stage.number(invalid).await?, 0);
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    stage.end([]).await
}

/// Starts `lockstep migrate` while somebody else has written and not committed, and kills it when it waits for that.
async fn killed_while_it_waits(stage: &Stage, write: &str) -> Result<()> {
    let writer = stage.connect().await?;
    writer.batch_execute(&format!("BEGIN; {write}")).await?;
    let migrating = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep%'";
    let waiting = format!("SELECT count(*) {migrating} AND wait_event_type = 'Lock'");
    tokio::select! {
        ended = stage.installation.run("lockstep", &["migrate"]) => bail!("migrate did not wait: {ended:?}"),
        waits = stage.until("migrate to wait for a lock", &waiting, 1) => waits?,
    }
    // It was dropped, and so killed. The server would notice only when it has the lock.
    stage.sql(&format!("SELECT pg_terminate_backend(pid) {migrating}")).await?;
    stage.until("the end of its connections", &format!("SELECT count(*) {migrating}"), 0).await?;
    Ok(writer.batch_execute("COMMIT").await?)
}
