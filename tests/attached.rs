//! Attached: a database that another tool owns, with rows in every state, is captured and synced, and nothing of it changes.

pub(crate) mod catalog;
mod clickhouse;
mod dump;
mod locks;
mod refusals;

use anyhow::{Result, bail, ensure};
use lockstep_testkit::installation::{Installation, Program};
use lockstep_testkit::{attached, edits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;

use crate::stage::Stage;

const EDITS: usize = 200;
/// The one index that a platform gets: by it, the invitations of a team are found.
const SEARCHED: &str = "lockstep_team_invitations_team";

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
    let programs = arrives(&stage).await?;
    edit(&stage).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// That it may go on beside Lockstep is in `former_sync.rs`.
#[tokio::test]
async fn attached_rows_of_a_former_sync_arrive_and_what_it_left_stays_as_it_is() -> Result<()> {
    const LEFT: &str = r#"SELECT (SELECT last_value FROM global_seq_id) || ' ' || md5(string_agg(d::text || d.ctid || d.xmin, '|' ORDER BY "id")) FROM "DeletedRow" d"#;
    let stage = platform(Platform::FormerSync).await?;
    let left = async || anyhow::Ok(stage.client.query_one(LEFT, &[]).await?.get::<_, String>(0));
    let before = left().await?;
    let programs = arrives(&stage).await?;
    edit(&stage).await?;
    stage.equal().await?;
    stage.verified().await?;
    assert_eq!(left().await?, before, "Lockstep took a number, or wrote a tombstone");
    stage.end(programs).await
}

async fn arrives(stage: &Stage) -> Result<[Program; 3]> {
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    let report = stage.equal().await?;
    ensure!(report.mappings.iter().all(|mapping| mapping.source_rows > 0), "a mapping has no rows:\n{report}");
    stage.verified().await?;
    Ok(programs)
}

async fn edit(stage: &Stage) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..EDITS {
        edits::one(&stage.client, &mut rng).await?;
    }
    Ok(())
}

#[tokio::test]
async fn attached_migrate_adds_what_capture_needs_and_changes_nothing_else() -> Result<()> {
    for kind in [Platform::Bare, Platform::FormerSync] {
        let stage = platform(kind).await?;
        let before = catalog::lines(&stage.client).await?;
        let rows = rows(&stage.client).await?;
        let printed = stage.migrate(&["--dry-run"]).await?.stdout;
        assert!(printed.contains("CREATE INDEX CONCURRENTLY") && printed.contains("CREATE TRIGGER"), "{printed}");
        assert_eq!(catalog::lines(&stage.client).await?, before, "--dry-run changed the catalog");
        assert_eq!(clickhouse::databases(&stage).await?, 0, "--dry-run made a database in ClickHouse");

        stage.migrate(&[]).await?;
        let after = catalog::lines(&stage.client).await?;
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "migrate changed or dropped {lost:#?}");
        let foreign: Vec<_> = after.difference(&before).filter(|line| !catalog::is_lockstep(line)).collect();
        assert!(foreign.is_empty(), "migrate added {foreign:#?}");
        assert_eq!(self::rows(&stage.client).await?, rows, "migrate wrote to rows");

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
    let invalid = format!("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '{SEARCHED}'::regclass");
    stage.sql(&invalid).await?;
    let again = stage.migrate(&[]).await?;
    assert!(again.stdout.contains("1 steps in Postgres, 0 in ClickHouse"), "{}", again.stdout);
    let still = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(stage.number(still).await?, 0);
    let there = format!("SELECT count(*) FROM pg_class WHERE relname = '{SEARCHED}'");
    assert_eq!(stage.number(&there).await?, 1);
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
    stage.sql(&format!("DROP INDEX {SEARCHED}")).await?;
    killed_while_it_waits(&stage, r#"UPDATE "VerificationCode" SET "updatedAt" = now()"#).await?;
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
