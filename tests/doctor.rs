//! `lockstep doctor`: whatever is wrong with an installation is told with its remedy, and what was mended is not.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::Stage;

/// Runs it; its findings as `check: detail → remedy`. Its exit code has to fit.
async fn findings(stage: &Stage, arguments: &[&str]) -> Result<Vec<String>> {
    let finished = stage.installation.run("lockstep", &[&["doctor", "--json"], arguments].concat()).await?;
    let report: Value = serde_json::from_str(&finished.stdout).with_context(|| finished.stderr.clone())?;
    let checks = report["checks"].as_array().context("checks")?;
    let text = |check: &Value, field| check[field].as_str().unwrap_or_default().to_owned();
    let findings: Vec<_> = checks
        .iter()
        .filter(|check| check["outcome"] != "ok")
        .map(|check| format!("{}: {} → {}", text(check, "check"), text(check, "detail"), text(check, "remedy")))
        .collect();
    let code = if findings.is_empty() { 0 } else { 1 };
    ensure!(finished.code == Some(code), "it ended with {:?} and found {findings:#?}", finished.code);
    ensure!(report["clean"] == findings.is_empty(), "{report}");
    Ok(findings)
}

/// One finding, which holds all of this.
async fn finds(stage: &Stage, what: &str, parts: &[&str]) -> Result<()> {
    let found = findings(stage, &[]).await?;
    let is_it = |finding: &&String| parts.iter().all(|part| finding.contains(part));
    ensure!(found.iter().any(|finding| is_it(&finding)), "{what}: {parts:?} is not among {found:#?}");
    Ok(())
}

async fn finds_nothing(stage: &Stage, when: &str) -> Result<()> {
    let found = findings(stage, &[]).await?;
    ensure!(found.is_empty(), "{when}: {found:#?}");
    Ok(())
}

/// What is done to the source, and what is said of it. `lockstep migrate` mends all of it.
const DAMAGES: [(&str, &str, &[&str]); 9] = [
    (
        "a trigger is dropped",
        r#"DROP TRIGGER lockstep_deleted ON "Team""#,
        &["triggers: ", "lockstep_deleted on Team is missing", "lockstep migrate", "resync --mapping teams"],
    ),
    (
        "a trigger is disabled",
        r#"ALTER TABLE "ContactChannel" DISABLE TRIGGER zz_lockstep_flag_update"#,
        &[
            "zz_lockstep_flag_update on ContactChannel is disabled",
            "resync --mapping users",
            "--mapping contact_channels",
        ],
    ),
    (
        "a trigger leaves replication roles out",
        r#"ALTER TABLE "Team" ENABLE TRIGGER zz_lockstep_flag_update"#,
        &["zz_lockstep_flag_update on Team does not fire for every session_replication_role"],
    ),
    (
        "a trigger was off for a while",
        r#"ALTER TABLE "EmailOutbox" DISABLE TRIGGER zz_lockstep_flag_update;
           ALTER TABLE "EmailOutbox" ENABLE ALWAYS TRIGGER zz_lockstep_flag_update"#,
        &["zz_lockstep_flag_update on EmailOutbox was altered", "resync --mapping email_outboxes"],
    ),
    (
        "a function is replaced",
        r#"CREATE OR REPLACE FUNCTION lockstep.flag_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"#,
        &["function \"flag_row\"() was altered", "lockstep-verifier"],
    ),
    (
        "a column is dropped",
        r#"ALTER TABLE "SessionReplay" DROP COLUMN "shouldUpdateSequenceId" CASCADE"#,
        &["capture columns: ", "add shouldUpdateSequenceId to SessionReplay", "lockstep migrate"],
    ),
    (
        "an index is dropped",
        r#"DROP INDEX "lockstep_ProjectUser_flagged""#,
        &["indexes: ", "build index lockstep_ProjectUser_flagged"],
    ),
    (
        "an index is invalid",
        r#"UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = '"lockstep_Team_flagged"'::regclass"#,
        &["indexes: ", "rebuild index lockstep_Team_flagged"],
    ),
    (
        "a snapshot is forgotten",
        "DELETE FROM lockstep.snapshot WHERE mapping_name = 'teams'",
        &["base snapshots: ", "plan the base snapshot of teams"],
    ),
];

#[tokio::test]
async fn doctor_tells_every_damage_to_capture_and_migrate_mends_it() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    finds_nothing(&stage, "at the beginning").await?;
    for (what, statements, parts) in DAMAGES {
        stage.sql(statements).await?;
        finds(&stage, what, parts).await?;
        stage.migrate(&[]).await?;
        finds_nothing(&stage, what).await?;
    }
    let told = stage.installation.run("lockstep", &["doctor"]).await?;
    ensure!(told.stdout.contains("triggers") && told.stdout.contains("lockstep-verifier"), "{}", told.stdout);
    stage.equal().await?;
    stage.end(programs).await
}

/// Rows that bypass the triggers while they are off are told as long as they were never stamped, and others are not told.
#[tokio::test]
async fn doctor_tells_rows_that_were_written_past_the_triggers() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    finds_nothing(&stage, "with a base that nobody has touched").await?;
    // A replication role alone bypasses nothing: the triggers fire always.
    stage
        .sql(
            r#"SET session_replication_role = replica;
               UPDATE "Team" SET "displayName" = 'written as a replica' WHERE "teamId" = id('cobol');
               DELETE FROM "Team" WHERE "teamId" = id('difference'); RESET session_replication_role"#,
        )
        .await?;
    stage.equal().await?;
    let replica = "SELECT count() FROM {views}.teams WHERE display_name = 'written as a replica'";
    ensure!(stage.seen(replica).await? == "1" && stage.seen("SELECT count() FROM {views}.teams").await? == "2");
    finds_nothing(&stage, "after writes as a replica").await?;

    // A base row that is changed, and one that comes, while nobody looks.
    stage
        .sql(
            r#"ALTER TABLE "ProjectUser" DISABLE TRIGGER USER;
               UPDATE "ProjectUser" SET "displayName" = 'unnoticed' WHERE "projectUserId" = id('mary');
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt", "shouldUpdateSequenceId")
               VALUES (id('engines'), id('unnoticed'), 'engines', 'main', now(), FALSE)"#,
        )
        .await?;
    finds(&stage, "while they are off", &["zz_lockstep_flag_update on ProjectUser is disabled"]).await?;
    stage.migrate(&[]).await?;
    let found = findings(&stage, &[]).await?;
    let expected =
        "unnoticed rows: ProjectUser: 2 written while the triggers did not fire → `lockstep resync --mapping users`";
    assert_eq!(found, [expected]);
    // Saying it explicitly is what mends single rows.
    stage.sql("SELECT lockstep.touch('ProjectUser', id('engines'))").await?;
    stage.equal().await?;
    ensure!(stage.seen("SELECT count() FROM {views}.users WHERE display_name = 'unnoticed'").await? == "1");
    finds_nothing(&stage, "when they are stamped").await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn doctor_tells_who_stamps_who_holds_up_and_what_waits() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let holding = stage.connect().await?;
    holding.batch_execute(r#"SET application_name = 'import'; BEGIN; DELETE FROM "Team""#).await?;
    let found = findings(&stage, &["--transactions-longer-than", "0"]).await?;
    let open = "open transactions: process ";
    ensure!(found.iter().any(|finding| finding.starts_with(open) && finding.contains("\"import\"")), "{found:#?}");
    ensure!(!found.iter().any(|finding| finding.contains("DELETE FROM")), "a statement is told: {found:#?}");
    holding.batch_execute("ROLLBACK").await?;
    stage
        .sql(r#"SET application_name = 'former'; UPDATE "Team" SET "sequenceId" = 7 WHERE "teamId" = id('cobol'); RESET application_name"#)
        .await?;
    finds(&stage, "a foreign stamp", &["foreign stamps: Team: 1 transactions of \"former\"", "stop the other system"])
        .await?;
    stage.sql("DELETE FROM lockstep.foreign_stamp").await?;
    stage.equal().await?;
    finds_nothing(&stage, "when the other is off").await?;

    sequencer.stop().await?;
    finds(&stage, "nobody leads", &["sequencer: none leads", "lockstep-sequencer"]).await?;
    stage
        .sql(
            r#"INSERT INTO lockstep.outbox (tenancy_id, mappings, enqueued_at) VALUES (id('engines'), '{}', now() - interval '1 hour');
               UPDATE "ContactChannel" SET "isVerified" = FALSE WHERE "id" = id('ada');
               UPDATE lockstep.touch SET recorded_at = now() - interval '1 hour';
               ALTER SEQUENCE global_seq_id CYCLE"#,
        )
        .await?;
    finds(&stage, "an outbox that is full", &["outbox: the oldest waits for 36", "broker"]).await?;
    finds(&stage, "touches that wait", &["touches: the oldest waits for 36", "sequencer"]).await?;
    finds(&stage, "a sequence that starts again", &["sequence: ", "NO CYCLE"]).await?;
    stage.sql("ALTER SEQUENCE global_seq_id NO CYCLE").await?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.until("the outbox to be empty", "SELECT count(*) FROM lockstep.outbox", 0).await?;
    finds_nothing(&stage, "when the sequencer is back").await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn doctor_tells_what_is_missing_in_clickhouse_and_what_has_another_shape() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.in_clickhouse("DROP VIEW {views}.teams SYNC").await?;
    finds(&stage, "a view is gone", &["ClickHouse: to do: create view ", ".teams", "lockstep migrate"]).await?;
    stage.migrate(&[]).await?;
    stage.in_clickhouse("ALTER TABLE {raw}.teams ADD COLUMN extra UInt8").await?;
    finds(
        &stage,
        "a column is new",
        &["ClickHouse: LS-0016", "column extra is UInt8", "LOCKSTEP_CLICKHOUSE_RAW_DATABASE"],
    )
    .await?;
    stage.in_clickhouse("ALTER TABLE {raw}.teams DROP COLUMN extra").await?;
    finds_nothing(&stage, "when all is as it was").await?;
    stage.end(programs).await
}

/// Before `lockstep migrate` everything is missing, and it says so instead of failing.
#[tokio::test]
async fn doctor_comes_before_migrate_too() -> Result<()> {
    let stage = Stage::before_capture().await?;
    finds(&stage, "nothing was done", &["control tables: to do: create Lockstep's own tables"]).await?;
    finds(&stage, "nothing was done", &["triggers: zz_lockstep_flag_insert on Team is missing"]).await?;
    stage.end([]).await
}
