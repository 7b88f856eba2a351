//! SRC-1: a source that was restored to an earlier state is noticed before it gives out a number, and mended.

mod attached_again;
mod dump;
mod server;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::{Installation, Program};

use self::server::Server;
use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// Rows that come, go and change, in both projects, in several tables.
const LOST_CHANGES: &str = r#"
INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
SELECT id('engines'), id('lost ' || n), 'engines', 'main', 'lost', now() FROM generate_series(1, 50) n;
UPDATE "ProjectUser" SET "displayName" = 'lost' WHERE "projectUserId" IN (id('ada'), id('grace'));
DELETE FROM "ProjectUser" WHERE "projectUserId" = id('charles');
UPDATE "Team" SET "displayName" = 'lost' WHERE "teamId" = id('analytical');
DELETE FROM "Team" WHERE "teamId" = id('cobol');
UPDATE "Tenancy" SET "branchId" = 'lost' WHERE "id" = id('compilers');
INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('lost', 'Lost', TRUE, now());
INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('lost'), 'lost', 'main', 'TRUE', now());
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('lost'), id('lost team'), 'lost', 'main', 'lost', now());"#;

/// What happens after the restore, while nobody gives out numbers. They would get the numbers of the lost ones.
const LATER_CHANGES: &str = r#"
UPDATE "ProjectUser" SET "displayName" = 'later' WHERE "projectUserId" = id('mary');
DELETE FROM "ProjectUserRefreshToken" WHERE "id" = id('token of charles');
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('engines'), id('later'), 'engines', 'main', 'later', now());"#;

/// Content that was shipped under a number which is not lost, as a worker ships a row that is ahead of its change: no number
/// tells it.
const LOST_CONTENT: &str = "INSERT INTO {raw}.email_outboxes SELECT * REPLACE (1 AS is_paused, now64(3) AS sync_created_at) FROM {raw}.email_outboxes FINAL WHERE project_id = 'engines'";

const HEAD: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";

#[tokio::test]
async fn src_1_a_restored_source_is_noticed_and_mended_under_a_running_system() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let mut server = Server::start().await?;
    let url = server.url();
    let there = [("LOCKSTEP_SOURCE_URL", url.as_str())];
    let lockstep = async |arguments: &[&str]| {
        let done = ended(with_changed(&stage, "lockstep", &there).args(arguments)).await?;
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        ensure!(done.status.success(), "{arguments:?}: {said}");
        Ok(said)
    };
    lockstep(&["migrate", "--standalone"]).await?;
    server.connect().await?.batch_execute(include_str!("world.sql")).await?;
    let sequencer = stage.start_with("lockstep-sequencer", &there)?;
    let worker = stage.start_with("lockstep-worker", &there)?;
    lockstep(&["wait", "--all"]).await?;
    let head: i64 = server.connect().await?.query_one(HEAD, &[]).await?.get(0);
    server.stop().await?;
    server.keep().await?;
    server.go().await?;
    server.connect().await?.batch_execute(LOST_CHANGES).await?;
    lockstep(&["wait", "--all"]).await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.users WHERE display_name = 'lost'").await?, "52");
    stage.in_clickhouse(LOST_CONTENT).await?;
    server.stop().await?;
    server.put_back().await?;
    server.go().await?;
    let source = server.connect().await?;
    source.batch_execute(LATER_CHANGES).await?;
    refuses(&sequencer).await?;
    ensure!(lockstep(&["rewind", "--dry-run"]).await?.contains("team_member_profiles"), "the dry run says too little");
    // Another one refuses at its start, too.
    sequencer.stop().await?;
    let sequencer = stage.start_with("lockstep-sequencer", &there)?;
    refuses(&sequencer).await?;
    let now: i64 = source.query_one(HEAD, &[]).await?.get(0);
    assert_eq!(now, head, "numbers were given out without anybody having looked");

    lockstep(&["rewind"]).await.with_context(|| worker.logged().unwrap_or_default())?;
    lockstep(&["wait", "--all"]).await?;
    let report = lockstep_oracle::compare(&source, &stage.installation.endpoint()).await?;
    ensure!(report.equal(), "{report}");
    let nothing_ahead = lockstep(&["rewind"]).await?;
    ensure!(nothing_ahead.contains("Nothing to mend"), "{nothing_ahead}");
    for daemon in [sequencer, worker] {
        daemon.stop().await?;
    }
    server.stop().await?;
    stage.end([]).await
}

/// Waits until a sequencer refuses to give out numbers, since the source is behind ClickHouse (LS-0510).
async fn refuses(sequencer: &Program) -> Result<()> {
    let refuses = async || Ok(sequencer.metric("lockstep_sequencer_source_went_back").await? == Some(1.0));
    eventually("the sequencer to refuse", DEADLINE, refuses).await
}

/// A cursor that no number explains, as a restored source leaves them, here made by hand.
const AHEAD: &str = "INSERT INTO {raw}._stack_sync_metadata (tenancy_id, mapping_name, last_synced_sequence_id) SELECT tenancy_id, mapping_name, last_synced_sequence_id + 1000 FROM {raw}._stack_sync_metadata FINAL WHERE mapping_name = 'users' ORDER BY last_synced_sequence_id DESC, tenancy_id LIMIT 1";

#[tokio::test]
async fn src_1_nothing_is_shipped_numbered_or_removed_while_a_cursor_is_ahead() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let known = "SELECT uniqExact(system_identifier, timeline) FROM {raw}._lockstep_source";
    assert_eq!(stage.seen(known).await?, "1", "which source it is was not written down");
    stage.in_clickhouse(AHEAD).await?;
    // Of another mapping: rewinding is for all of them.
    stage.in_clickhouse(LOST_CONTENT).await?;
    // A restoration ends all sessions: whoever reads begins anew, and takes no cursor for granted.
    stage.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep fetch %'").await?;
    // The sequencer has looked before: it goes on. The worker does not ship what it cannot read whole.
    stage
        .sql(r#"UPDATE "ProjectUser" SET "displayName" = 'ahead'; UPDATE "Team" SET "displayName" = 'beside'"#)
        .await?;
    let beside = "SELECT countIf(display_name = 'beside') = count() FROM {views}.teams";
    stage.until_seen("mappings whose cursors are not ahead", beside, "1").await?;
    let ahead = r#"lockstep_worker_failures_total{kind="cursor ahead"}"#;
    eventually("the worker to count it", DEADLINE, async || Ok(worker.metric(ahead).await?.is_some())).await?;
    let told = async || {
        let status = stage.installation.run("lockstep", &["status"]).await?;
        Ok(status.code == Some(1) && ["puts messages off", "LS-0420"].iter().all(|said| status.stdout.contains(said)))
    };
    eventually("`lockstep status` to say so", DEADLINE, told).await?;
    // Nor is the change taken for one that has arrived.
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "3"]).await?;
    assert_eq!(waited.code, Some(2), "{}{}", waited.stdout, waited.stderr);
    let tenant = stage.seen("SELECT tenancy_id FROM {raw}._stack_sync_metadata FINAL WHERE mapping_name = 'users' ORDER BY last_synced_sequence_id DESC LIMIT 1").await?;
    for (command, code) in [("wait", 2), ("status", 3)] {
        let timeout: &[&str] = if command == "wait" { &["--timeout", "3"] } else { &[] };
        let told =
            stage.installation.run("lockstep", &[&[command, "--tenant", tenant.as_str()], timeout].concat()).await?;
        assert_eq!(told.code, Some(code), "{command}: {}{}", told.stdout, told.stderr);
        ensure!(command == "wait" || told.stdout.contains("LS-0420"), "{}", told.stdout);
    }
    let refused = stage.installation.run("lockstep", &["resync"]).await?;
    assert_eq!(refused.code, Some(1));
    ensure!(refused.stderr.starts_with("LS-0042"), "{}", refused.stderr);
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.fill WHERE reason = 'resync'").await?, 0);

    sequencer.stop().await?;
    let sequencer = stage.sequencer()?;
    refuses(&sequencer).await?;
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'waits'"#).await?;
    stage.installation.succeed("lockstep", &["rewind"]).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn src_1_nothing_is_numbered_before_clickhouse_has_answered() -> Result<()> {
    let stage = Stage::small().await?;
    let away = [("LOCKSTEP_CLICKHOUSE_URL", "http://127.0.0.1:1")];
    let blind = stage.start_with("lockstep-sequencer", &away)?;
    eventually("the sequencer to ask in vain", DEADLINE, async || {
        Ok(blind.get("/readyz").await?.1.contains("LS-0511"))
    })
    .await?;
    assert_eq!(stage.number(HEAD).await?, 0);
    blind.stop().await?;
    let sequencer = stage.sequencer()?;
    stage.numbered().await?;
    stage.end([sequencer]).await
}

/// What copies tables and not sequences does it, and so may people.
#[tokio::test]
async fn src_1_a_sequence_that_is_set_back_is_moved_on_before_it_is_used() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for (times, back) in
        ["SELECT setval('lockstep.sequence', 5)", "ALTER SEQUENCE lockstep.sequence RESTART"].iter().enumerate()
    {
        let head = stage.number(HEAD).await?;
        stage.sql(back).await?;
        stage.sql(r#"UPDATE "Team" SET "displayName" = 'at ' || clock_timestamp()"#).await?;
        stage.equal().await?;
        ensure!(stage.number(HEAD).await? > head, "numbers were given out a second time");
        let said = programs[0].logged()?.matches("LS-0507").count();
        ensure!(said > times, "nothing was said of it");
    }
    assert_eq!(stage.number("SELECT count(*) - count(DISTINCT sequence) FROM lockstep.change").await?, 0);
    stage.verified().await?;
    stage.end(programs).await
}
