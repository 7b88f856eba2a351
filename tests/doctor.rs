//! `lockstep doctor`: whatever is wrong with an installation is told with its remedy, and what was mended is not.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase};
use lockstep_testkit::installation::Installation;
use serde_json::Value;

use crate::programs::{ended, with_changed};
use crate::stage::Stage;

/// Runs it; its findings as `check: detail → remedy`. Its exit code has to fit.
async fn findings(stage: &Stage, arguments: &[&str]) -> Result<Vec<String>> {
    let finished = stage.installation.run("lockstep", &[&["doctor", "--output", "json"], arguments].concat()).await?;
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
const DAMAGES: [(&str, &str, &[&str]); 12] = [
    (
        "a trigger is dropped",
        r#"DROP TRIGGER lockstep_teams_deleted ON "Team""#,
        &["triggers: ", "lockstep_teams_deleted on Team is missing", "lockstep migrate", "filled again"],
    ),
    (
        "a trigger is disabled",
        r#"ALTER TABLE "ContactChannel" DISABLE TRIGGER lockstep_users_channel_updated"#,
        &["lockstep_users_channel_updated on ContactChannel is disabled", "filled again"],
    ),
    (
        "a trigger leaves replication roles out",
        r#"ALTER TABLE "Team" ENABLE TRIGGER lockstep_teams_updated"#,
        &["lockstep_teams_updated on Team does not fire for every session_replication_role"],
    ),
    (
        "a trigger was off for a while",
        r#"ALTER TABLE "EmailOutbox" DISABLE TRIGGER lockstep_email_outboxes_updated;
           ALTER TABLE "EmailOutbox" ENABLE ALWAYS TRIGGER lockstep_email_outboxes_updated"#,
        &["lockstep_email_outboxes_updated on EmailOutbox was altered", "switched off for a while", "filled again"],
    ),
    (
        "a function is replaced",
        r#"CREATE OR REPLACE FUNCTION lockstep.capture_teams() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"#,
        &["function \"capture_teams\"() was altered", "filled again"],
    ),
    (
        "an event trigger is dropped",
        "DROP EVENT TRIGGER lockstep_ddl_end",
        &["migrations: to do: watch for migrations of captured tables"],
    ),
    (
        "an event trigger is disabled",
        "ALTER EVENT TRIGGER lockstep_ddl_drop DISABLE",
        &["migrations: to do: watch for migrations of captured tables"],
    ),
    (
        "an index is dropped",
        "DROP INDEX lockstep_team_invitations_team",
        &["indexes: ", "build index lockstep_team_invitations_team"],
    ),
    (
        "an index is invalid",
        "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'lockstep_team_invitations_team'::regclass",
        &["indexes: ", "rebuild index lockstep_team_invitations_team"],
    ),
    (
        "what a table was is forgotten",
        "DELETE FROM lockstep.captured_table WHERE table_name = 'Team'",
        &["control tables: ", "write down the shape of 1 captured tables"],
    ),
    (
        "where a tenancy is, is forgotten",
        "DELETE FROM lockstep.tenancy_location WHERE tenancy_id = id('engines')",
        &["tenancies: to do: write down where every one is", "lockstep migrate"],
    ),
    (
        "a fill is forgotten",
        "DELETE FROM lockstep.fill WHERE mapping_name = 'teams'",
        &["fills: ", "begin to fill teams: first fill"],
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

/// The sequencer mends that by itself, as soon as there is one.
#[tokio::test]
async fn doctor_tells_a_trigger_that_changes_what_no_statement_names_and_the_sequencer_mends_it() -> Result<()> {
    let stage = Stage::small().await?;
    stage
        .sql(
            r#"CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."clientMetadata" := jsonb_build_object(''changes'', random()); RETURN NEW; END';
               CREATE TRIGGER count_changes BEFORE UPDATE ON "Team" FOR EACH ROW EXECUTE FUNCTION count_changes();
               UPDATE "Team" SET "updatedAt" = now()"#,
        )
        .await?;
    let blind =
        "lockstep_teams_updated on Team does not see what another trigger, which came later, changes on the way";
    finds(&stage, "before a sequencer is there", &[blind, "filled again"]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let written = "SELECT count() FROM {views}.teams WHERE client_metadata LIKE '%changes%'";
    stage.until_seen("what the trigger wrote", written, "3").await?;
    stage.equal().await?;
    finds_nothing(&stage, "after the sequencer has mended it").await?;
    stage.sql(r#"UPDATE "Team" SET "updatedAt" = now() + interval '1 minute'"#).await?;
    stage.equal().await?;
    stage.end(programs).await
}

/// What is written while triggers are off arrives after all: they are told, and `lockstep migrate` has their mappings filled.
#[tokio::test]
async fn doctor_tells_triggers_that_are_off_and_what_went_past_them_arrives() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
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

    // A row that is changed, one that comes and one that goes, while nobody looks.
    stage
        .sql(
            r#"ALTER TABLE "ProjectUser" DISABLE TRIGGER USER;
               UPDATE "ProjectUser" SET "displayName" = 'unnoticed' WHERE "projectUserId" = id('mary');
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt")
               VALUES (id('engines'), id('unnoticed'), 'engines', 'main', now());
               ALTER TABLE "SessionReplay" DISABLE TRIGGER USER; DELETE FROM "SessionReplay" WHERE "id" = id('replay of ada')"#,
        )
        .await?;
    finds(&stage, "while they are off", &["lockstep_users_updated on ProjectUser is disabled", "filled again"]).await?;
    finds(&stage, "while they are off", &["lockstep_session_replays_deleted on SessionReplay is disabled"]).await?;
    let again = stage.migrate(&[]).await?;
    for mapping in ["users", "session_replays"] {
        let told = format!("begin to fill {mapping}: changes may have gone unnoticed");
        ensure!(again.stderr.contains(&told), "{told:?} is not in\n{}", again.stderr);
    }
    stage.equal().await?;
    finds_nothing(&stage, "when all is filled again").await?;
    stage.verified().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn doctor_tells_who_leads_who_holds_up_and_what_waits() -> Result<()> {
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let holding = stage.connect().await?;
    holding.batch_execute(r#"SET application_name = 'import'; BEGIN; DELETE FROM "Team""#).await?;
    let found = findings(&stage, &["--transactions-longer-than", "0"]).await?;
    let is_it =
        |finding: &&String| finding.starts_with("open transactions: process ") && finding.contains("\"import\"");
    let told = found.iter().find(is_it).with_context(|| format!("{found:#?}"))?;
    ensure!(told.contains("dead rows in captured tables") && told.contains("an inbox of 0 MiB"), "{told}");
    ensure!(!found.iter().any(|finding| finding.contains("DELETE FROM")), "a statement is told: {found:#?}");
    holding.batch_execute("ROLLBACK").await?;
    finds_nothing(&stage, "when nobody holds up").await?;

    sequencer.stop().await?;
    finds(&stage, "nobody leads", &["sequencer: none leads", "lockstep-sequencer"]).await?;
    stage
        .sql(
            r#"INSERT INTO lockstep.expansion (target, tenancy_id, requested_at)
               SELECT id, id('engines'), now() - interval '1 hour' FROM lockstep.target WHERE name = 'teams.*';
               INSERT INTO lockstep.pass (last_sequence, consumed, unfinished, passed_at)
               SELECT nextval('lockstep.sequence'), consumed, unfinished, now() - interval '1 hour' FROM lockstep.pass ORDER BY id DESC LIMIT 1;
               INSERT INTO lockstep.change (sequence, tenancy_id, mapping, uuid_1)
               SELECT last_value, id('engines'), target.id, id('analytical') FROM lockstep.sequence, lockstep.target WHERE name = 'teams';
               SELECT count(lockstep.touch('Team', id('engines'))) FROM generate_series(1, 100000);
               ALTER SEQUENCE lockstep.sequence CYCLE"#,
        )
        .await?;
    finds(&stage, "expansions that wait", &["expansions: the oldest waits for 36", "sequencer"]).await?;
    finds(&stage, "changes that nobody has announced", &["announcements: changes wait", "broker"]).await?;
    finds(&stage, "an inbox that fills", &["inbox: 100,000 lines or more", "sequencer"]).await?;
    finds(&stage, "a sequence that starts again", &["sequence: ", "NO CYCLE"]).await?;
    stage.sql("ALTER SEQUENCE lockstep.sequence NO CYCLE").await?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    let unannounced =
        "SELECT (SELECT max(last_sequence) FROM lockstep.pass) - (SELECT max(sequence) FROM lockstep.announced)";
    stage.until("everything to be announced", unannounced, 0).await?;
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
        &["ClickHouse: ", ".teams differs from its definition: column extra is UInt8", "lockstep migrate --drop"],
    )
    .await?;
    stage.in_clickhouse("ALTER TABLE {raw}.teams DROP COLUMN extra").await?;
    stage.in_clickhouse("ALTER TABLE {raw}.teams MODIFY TTL sync_created_at + INTERVAL 100 YEAR").await?;
    let parts = [".teams differs from its definition: TTL is", "the right table is built beside", "lockstep migrate"];
    finds(&stage, "rows that would go by themselves", &parts).await?;
    stage.in_clickhouse("ALTER TABLE {raw}.teams REMOVE TTL").await?;
    finds_nothing(&stage, "when all is as it was").await?;
    stage.end(programs).await
}

/// Before `lockstep migrate` everything is missing, and it says so instead of failing.
#[tokio::test]
async fn doctor_comes_before_migrate_too() -> Result<()> {
    let stage = Stage::before_capture().await?;
    finds(&stage, "nothing was done", &["control tables: to do: create Lockstep's own tables"]).await?;
    finds(&stage, "nothing was done", &["triggers: lockstep_teams_inserted on Team is missing"]).await?;
    stage.end([]).await
}

/// A look that takes too long is not known, and hides no other.
#[tokio::test]
async fn doctor_gives_up_what_takes_too_long_and_tells_the_rest() -> Result<()> {
    let stage = Stage::small().await?;
    let holding = stage.connect().await?;
    holding.batch_execute("BEGIN; LOCK TABLE lockstep.tenancy_location").await?;
    let found = findings(&stage, &[]).await?;
    let late = "tenancies: whether it is written down where every one is could not be looked at within 8 s";
    ensure!(found.iter().any(|finding| finding.starts_with(late)), "{found:#?}");
    ensure!(found.iter().any(|finding| finding.starts_with("sequencer: none leads")), "{found:#?}");
    holding.batch_execute("ROLLBACK").await?;
    let found = findings(&stage, &[]).await?;
    ensure!(!found.iter().any(|finding| finding.starts_with(late)), "{found:#?}");
    stage.end([]).await
}

/// The broker is asked as the two others are, by the settings of the programs.
#[tokio::test]
async fn doctor_asks_the_broker_whether_it_answers() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let broker = async |changed: &[(&str, &str)]| {
        let told = ended(with_changed(&stage, "lockstep", changed).args(["doctor", "--output", "json"])).await?;
        let report: Value = serde_json::from_slice(&told.stdout)?;
        let is_it = |check: &&Value| check["check"] == "RabbitMQ";
        let check = report["checks"].as_array().and_then(|checks| checks.iter().find(is_it)).cloned();
        Ok::<_, anyhow::Error>((told.status.code(), check.with_context(|| report.to_string())?))
    };
    let (code, there) = broker(&[]).await?;
    ensure!(code == Some(0) && there["outcome"] == "ok", "{there}");
    ensure!(
        there["detail"].as_str().is_some_and(|said| said.ends_with("queues of this prefix are there already")),
        "{there}"
    );
    let (code, other) = broker(&[("LOCKSTEP_QUEUE_PREFIX", "nobody-has-this")]).await?;
    ensure!(
        code == Some(0) && other["detail"].as_str().is_some_and(|said| said.contains("declare their queues")),
        "{other}"
    );
    let (code, away) = broker(&[("LOCKSTEP_AMQP_URL", "amqp://me:hunter2@127.0.0.1:1/%2f")]).await?;
    ensure!(code == Some(1) && away["outcome"] == "unknown", "{away}");
    ensure!(
        away["remedy"].as_str().is_some_and(|said| said.starts_with("start RabbitMQ at amqp://127.0.0.1:1")),
        "{away}"
    );
    ensure!(!away.to_string().contains("hunter2"), "{away}");
    stage.end(programs).await
}

/// What nobody remembers: a prepared transaction, and a slot that nobody reads.
#[tokio::test]
async fn doctor_tells_what_a_forgotten_slot_and_a_prepared_transaction_keep() -> Result<()> {
    let mut server = PrivatePostgres::start_with(&["max_prepared_transactions=5", "wal_keep_size=0"]).await?;
    let stage = Stage::of(Installation::around(TestDatabase::create_on(server.url()).await?)?).await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.sql("SELECT pg_create_physical_replication_slot('forgotten', TRUE)").await?;
    for _ in 0..18 {
        // A segment of 16 MiB each time.
        stage.sql("SELECT pg_logical_emit_message(FALSE, '', ''); SELECT pg_switch_wal()").await?;
    }
    stage.sql(r#"BEGIN; UPDATE "Team" SET "displayName" = 'prepared'; PREPARE TRANSACTION 'forgotten'"#).await?;
    let found = findings(&stage, &["--transactions-longer-than", "0"]).await?;
    for parts in [
        &["open transactions: a prepared transaction", "dead rows in captured tables", "ROLLBACK PREPARED"][..],
        &["replication slots: slot \"forgotten\" is read by nobody", "MiB of the log", "pg_drop_replication_slot"],
    ] {
        let is_it = |finding: &&String| parts.iter().all(|part| finding.contains(part));
        ensure!(found.iter().any(|finding| is_it(&finding)), "{parts:?} is not among {found:#?}");
    }
    ensure!(!found.iter().any(|finding| finding.contains("'forgotten'")), "a prepared transaction's name is told");
    stage.sql("ROLLBACK PREPARED 'forgotten'").await?;
    stage.sql("SELECT pg_drop_replication_slot('forgotten')").await?;
    let found = findings(&stage, &["--transactions-longer-than", "0"]).await?;
    ensure!(!found.iter().any(|finding| finding.contains("slots: ") || finding.contains("prepared")), "{found:#?}");
    stage.end([]).await?;
    server.stop().await
}
