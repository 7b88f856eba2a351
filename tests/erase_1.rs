//! ERASE-1: a tenancy that is gone goes from ClickHouse, by the programs as they run.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::Stage;

/// Waits are short, and nothing of the longer one before is under way.
pub(crate) async fn impatient(stage: &Stage) -> Result<()> {
    stage.installation.succeed("lockstep", &["settings", "set", "late_write_limit", "4 seconds"]).await?;
    stage.sql("UPDATE lockstep.setting SET previous = NULL").await
}

async fn id(stage: &Stage, name: &str) -> Result<String> {
    Ok(stage.client.query_one("SELECT id($1)::text", &[&name]).await?.get(0))
}

/// Rows of all versions of a project, in all tables.
async fn versions(stage: &Stage, project: &str) -> Result<i64> {
    let tables = stage.seen("SELECT name FROM system.tables WHERE database = '{raw}' AND name NOT LIKE '\\_%'").await?;
    let each: Vec<_> = tables
        .lines()
        .map(|name| format!("SELECT count() AS c FROM {{raw}}.{name} WHERE project_id = '{project}'"))
        .collect();
    Ok(stage.seen(&format!("SELECT sum(c) FROM ({})", each.join(" UNION ALL "))).await?.parse()?)
}

const UNFINISHED: &str = "SELECT count(*) FROM lockstep.erasure WHERE finished_at IS NULL";

#[tokio::test]
async fn erase_1_a_project_that_is_deleted_leaves_nothing() -> Result<()> {
    let stage = Stage::small().await?;
    impatient(&stage).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    stage.equal().await?;
    ensure!(versions(&stage, "engines").await? > 0);
    let engines = id(&stage, "engines").await?;
    stage.sql(r#"DELETE FROM "Project" WHERE "id" = 'engines'"#).await?;
    // Until its rows are hidden they are on their way out, and called so.
    let meanwhile = stage.verifier(&["--settle", "0"]).await?;
    ensure!(matches!(meanwhile.code, Some(0 | 2)), "{:?}: {}", meanwhile.code, meanwhile.stdout);
    let receipts = format!(
        "SELECT count(*) FROM lockstep.erasure WHERE tenancy_id = '{engines}' AND finished_at IS NOT NULL AND reason = 'automatic' AND (removed ->> 'users')::bigint > 0"
    );
    stage.until("the receipt", &receipts, 1).await?;
    assert_eq!(versions(&stage, "engines").await?, 0);
    let cursors = format!("SELECT count() FROM {{raw}}._stack_sync_metadata WHERE tenancy_id = '{engines}'");
    assert_eq!(stage.seen(&cursors).await?, "0");
    let known = format!("SELECT count(*) FROM lockstep.tenancy_location WHERE tenancy_id = '{engines}'");
    assert_eq!(stage.number(&known).await?, 0);
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn erase_1_by_hand_it_refuses_what_exists_and_prints_a_receipt() -> Result<()> {
    let stage = Stage::small().await?;
    impatient(&stage).await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let engines = id(&stage, "engines").await?;
    let erase = ["erase", "--tenant", &engines];
    let refused = stage.installation.run("lockstep", &erase).await?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("LS-0050"), "{refused:?}");
    let nobody = ["erase", "--tenant", "00000000-0000-4000-8000-000000000077"];
    let unknown = stage.installation.run("lockstep", &nobody).await?;
    ensure!(unknown.code == Some(78) && unknown.stderr.contains("LS-0051"), "{unknown:?}");
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    let erased = stage.installation.succeed("lockstep", &[&erase[..], &["--output", "json"]].concat()).await?;
    let receipt: Value = serde_json::from_str(&erased.stdout).context("the receipt")?;
    assert_eq!(receipt["tenancy"], engines);
    assert_eq!((&receipt["reason"], &receipt["left"]), (&Value::from("by hand"), &Value::from(0)));
    ensure!(receipt["proven_at"].is_string() && receipt["removed"]["users"].as_u64() >= Some(3), "{receipt}");
    assert_eq!(versions(&stage, "engines").await?, 0);
    // The receipt is kept, and printed again for people.
    let again = stage.installation.succeed("lockstep", &erase).await?;
    ensure!(again.stdout.contains("removed rows") && again.stdout.contains("team_member_profiles"), "{}", again.stdout);
    // A tenancy that nobody knows any more, whose rows are there all the same.
    stage
        .in_clickhouse("INSERT INTO {raw}.teams (project_id, branch_id, id, sync_sequence_id, sync_is_deleted) VALUES ('forgotten', 'main', generateUUIDv4(), 1, 0)")
        .await?;
    assert_eq!(versions(&stage, "forgotten").await?, 1);
    let place = ["--project", "forgotten", "--branch", "main", "--output", "json"];
    stage.installation.succeed("lockstep", &[&nobody[..], &place].concat()).await?;
    assert_eq!(versions(&stage, "forgotten").await?, 0);
    stage.equal().await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn erase_1_and_pause_erases_a_tenancy_that_exists() -> Result<()> {
    let stage = Stage::small().await?;
    impatient(&stage).await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    sequencer.stop().await?;
    let engines = id(&stage, "engines").await?;
    let erase = ["erase", "--tenant", &engines, "--and-pause", "--output", "json"];
    let erased = stage.installation.succeed("lockstep", &erase).await?;
    let receipt: Value = serde_json::from_str(&erased.stdout).context("the receipt")?;
    ensure!(receipt["removed"]["users"].as_u64() >= Some(3), "{receipt}");
    assert_eq!(versions(&stage, "engines").await?, 0);
    ensure!(versions(&stage, "compilers").await? > 0);
    let paused = format!("SELECT count(*) FROM lockstep.pause WHERE kind = 'tenancy' AND name = '{engines}'");
    assert_eq!(stage.number(&paused).await?, 1);
    assert_eq!(stage.number(UNFINISHED).await?, 0);
    // When it goes on, it comes whole.
    stage.sql("DELETE FROM lockstep.pause").await?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

/// Whichever janitor is killed, another goes on.
#[tokio::test]
async fn erase_1_workers_that_are_killed_erase_all_the_same() -> Result<()> {
    let stage = Stage::small().await?;
    impatient(&stage).await?;
    let sequencer = stage.sequencer()?;
    let mut worker = stage.worker()?;
    stage.equal().await?;
    stage.sql(r#"DELETE FROM "Tenancy""#).await?;
    stage.until("both to be noticed", "SELECT count(*) FROM lockstep.erasure", 2).await?;
    // As soon as anything was removed, and again.
    for removed in ["users", "teams", "connected_accounts"] {
        let counted = format!("SELECT (count(*) > 0)::int::bigint FROM lockstep.erasure WHERE removed ? '{removed}'");
        stage.until("rows to be counted", &counted, 1).await?;
        worker.kill().await?;
        worker = stage.worker()?;
    }
    stage
        .until(
            "both receipts",
            "SELECT count(*) FROM lockstep.erasure WHERE proven_at IS NOT NULL AND finished_at IS NOT NULL",
            2,
        )
        .await?;
    for project in ["engines", "compilers"] {
        assert_eq!(versions(&stage, project).await?, 0);
    }
    assert_eq!(stage.seen("SELECT count() FROM {raw}._stack_sync_metadata").await?, "0");
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

/// Whatever was shipped of a second life is hidden and erased too, however soon that ends.
#[tokio::test]
async fn erase_1_a_tenancy_that_comes_back_and_goes_again_leaves_nothing() -> Result<()> {
    const JANITOR_LOCK: i64 = i64::from_be_bytes(*b"locksjan");
    const TEAMS: &str = "SELECT count() FROM {views}.teams WHERE display_name = 'again'";
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    stage.until("it to be noticed", UNFINISHED, 1).await?;
    // From now on no janitor looks.
    worker.stop().await?;
    stage.sql(&format!("SELECT pg_advisory_lock({JANITOR_LOCK})")).await?;
    let worker = stage.worker()?;
    stage
        .sql(
            r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('engines'), 'engines', 'main', 'TRUE', now());
INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
VALUES (id('engines'), id('again'), 'engines', 'main', 'again', now())"#,
        )
        .await?;
    stage.until_seen("its new team", TEAMS, "1").await?;
    stage.sql(r#"DELETE FROM "Tenancy" WHERE "id" = id('engines')"#).await?;
    stage.installation.succeed("lockstep", &["wait", "--all"]).await?;
    assert_eq!(stage.seen(TEAMS).await?, "0", "it is in step, and shown all the same");
    stage.sql(&format!("SELECT pg_advisory_unlock({JANITOR_LOCK})")).await?;
    impatient(&stage).await?;
    stage.until("the receipt", "SELECT count(*) FROM lockstep.erasure WHERE finished_at IS NOT NULL", 1).await?;
    assert_eq!(versions(&stage, "engines").await?, 0);
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}
