//! Types and keys that become others, and tables of another system: the right table is built beside, and takes the place.

use anyhow::Result;
use lockstep_testkit::data::{Shape, seed};

use super::readers::Readers;
use super::{filled, planned, redefine, with_short_late_writes};
use crate::background_edits::BackgroundEdits;
use crate::custom_mapping::{DEFINITION, with_invoices};
use crate::stage::Stage;

/// Another type of one column, and the key in another order.
const CHANGED: [(&str, &str); 2] = [
    ("name = \"items\"\ntype = \"int32?\"", "name = \"items\"\ntype = \"int64?\""),
    ("key = [\"series\", \"year\", \"number\"]", "key = [\"number\", \"series\", \"year\"]"),
];

const SHAPE: &str = "SELECT sorting_key || ' ' || (SELECT type FROM system.columns WHERE database = '{views}' AND table = 'invoices' AND name = 'items')
    FROM system.tables WHERE database = '{raw}' AND name = 'invoices'";
const NEW_SHAPE: &str = "project_id, branch_id, number, series, year Nullable(Int64)";

/// Tables whose names say that one was built beside another.
const BESIDE: &str = "SELECT arrayStringConcat(arraySort(groupArray(name)), ' ') FROM system.tables WHERE database = '{raw}' AND name LIKE '%lockstep\\\\_%' AND name NOT LIKE '\\\\_%'";

/// Everything is there. But what a worker has read under the definition of before, and hangs on its way, is meant for a table of
/// this name: it may not find the new one under it.
async fn waits_for_late_writes(stage: &Stage) -> Result<()> {
    let ripe = "SELECT count(*) FROM lockstep.fill f JOIN lockstep.fence n ON n.id = f.fence_id
        JOIN lockstep.destination d ON d.name = f.destination WHERE f.is_beside AND n.sequence <= d.passed";
    stage.until("the fill to be over but for the wait", ripe, 1).await?;
    let now: String = stage.client.query_one("SELECT clock_timestamp()::text", &[]).await?.get(0);
    let looked = format!("SELECT count(*) FROM lockstep.task WHERE name = 'end fills' AND last_run > '{now}'");
    stage.until("a look at fills that can end", &looked, 1).await?;
    assert_eq!(stage.seen(BESIDE).await?, "invoices_lockstep_new");
    Ok(())
}

#[tokio::test]
async fn schema_changes_another_type_and_key_take_their_place_while_rows_are_written_and_read() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    let before = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.in_clickhouse("ALTER TABLE {views}.invoices COMMENT COLUMN items 'how many'").await?;
    let readers = Readers::start(&stage, &[("invoices", 2)])?;
    redefine(&definitions, DEFINITION, &CHANGED)?;
    assert_eq!(planned(&stage, &[]).await?, [("invoices".to_owned(), "built_beside".to_owned(), 4)]);
    stage.migrate(&[]).await?;
    assert_eq!(planned(&stage, &[]).await?, [("invoices".to_owned(), "being_built".to_owned(), 4)]);
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    // Nothing is numbered by a sequencer that knows another key: changes wait for the next.
    stage.sql(r#"UPDATE billing."Invoice" SET "items" = 5 WHERE "series" = 'A'"#).await?;
    stage.sql(r#"DELETE FROM billing."Invoice" WHERE "series" = ''"#).await?;
    readers.go_on().await?;
    let after = [stage.sequencer()?, stage.worker()?];
    for program in before {
        program.stop().await?;
    }
    stage.sql(r#"UPDATE billing."Invoice" SET "number" = 12 WHERE "tenancyId" = id('compilers')"#).await?;
    waits_for_late_writes(&stage).await?;
    with_short_late_writes(&stage).await?;
    filled(&stage, "invoices").await?;
    stage.equal().await?;
    readers.go_on().await?;
    readers.stop().await?;
    assert_eq!(stage.seen(SHAPE).await?, NEW_SHAPE);
    assert_eq!(stage.seen(BESIDE).await?, "", "the table of before is dropped");
    let rows = "SELECT number, items FROM {views}.invoices ORDER BY number FORMAT TSV";
    assert_eq!(stage.seen(rows).await?, "-9223372036854775808\t5\n12\t5\n9223372036854775807\t\\N");
    let comment =
        "SELECT comment FROM system.columns WHERE database = '{views}' AND table = 'invoices' AND name = 'items'";
    assert_eq!(stage.seen(comment).await?, "how many");
    stage.sql(r#"DELETE FROM billing."Invoice" WHERE "number" = 12"#).await?;
    stage.equal().await?;
    assert_eq!(stage.seen("SELECT count() FROM {views}.invoices").await?, "2");
    stage.verified().await?;
    assert!(stage.migrate(&[]).await?.stdout.starts_with("Nothing to do"));
    stage.end(after).await
}

/// A run that ends anywhere is continued by the next.
#[tokio::test]
async fn schema_changes_that_were_interrupted_are_continued() -> Result<()> {
    let (stage, definitions) = with_invoices().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for program in programs {
        program.stop().await?;
    }
    // A migrate that was killed before it wrote anything down leaves a table that nobody fills.
    stage.in_clickhouse("CREATE TABLE {raw}.invoices_lockstep_new (x UInt8) ENGINE = MergeTree ORDER BY x").await?;
    redefine(&definitions, DEFINITION, &CHANGED)?;
    stage.migrate(&["--keep"]).await?;
    assert_eq!(stage.seen(BESIDE).await?, "invoices_lockstep_new");
    // A worker that was killed between the exchange and writing it down.
    let sequencer = stage.sequencer()?;
    for statement in [
        "ALTER TABLE {raw}.invoices ADD CONSTRAINT lockstep_replaced CHECK 0",
        "EXCHANGE TABLES {raw}.invoices AND {raw}.invoices_lockstep_new",
    ] {
        stage.in_clickhouse(statement).await?;
    }
    stage.sql(r#"UPDATE billing."Invoice" SET "items" = 6"#).await?;
    let worker = stage.worker()?;
    filled(&stage, "invoices").await?;
    stage.equal().await?;
    stage.verified().await?;
    assert_eq!(stage.seen(SHAPE).await?, NEW_SHAPE);
    assert_eq!(stage.seen(BESIDE).await?, "invoices_lockstep_old", "it is kept");
    assert_eq!(stage.seen("SELECT countIf(items = 6) FROM {views}.invoices").await?, "4");
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.quarantine").await?, 0);

    // What was kept is in the way of the next that is to be kept; without that it is dropped.
    redefine(&definitions, DEFINITION, &[])?;
    let refused = stage.installation.run("lockstep", &["migrate", "--keep"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.starts_with("LS-0027"), "{}", refused.stderr);
    // A definition that is taken back before anything was filled leaves nothing behind.
    redefine(
        &definitions,
        DEFINITION,
        &[CHANGED[0], CHANGED[1], ("name = \"rate\"\ntype = \"float64\"", "name = \"rate\"\ntype = \"float64?\"")],
    )?;
    for program in [sequencer, worker] {
        program.stop().await?;
    }
    stage.migrate(&[]).await?;
    assert_eq!(stage.seen(BESIDE).await?, "invoices_lockstep_new invoices_lockstep_old");
    redefine(&definitions, DEFINITION, &CHANGED)?;
    stage.migrate(&[]).await?;
    assert_eq!(stage.seen(BESIDE).await?, "invoices_lockstep_old");
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// Two tables and a view as the former sync made them.
const FORMER: [&str; 5] = [
    "CREATE DATABASE {raw}",
    "CREATE DATABASE {views}",
    "CREATE TABLE {raw}.users (project_id String, branch_id String, id UUID, display_name Nullable(String), signed_up_at DateTime64(3, 'UTC'),
       sync_sequence_id Int64, sync_is_deleted UInt8, sync_created_at DateTime64(3, 'UTC') DEFAULT now64(3))
     ENGINE = ReplacingMergeTree(sync_sequence_id) PARTITION BY toYYYYMM(signed_up_at) ORDER BY (project_id, branch_id, id)",
    "CREATE TABLE {raw}.project_permissions (project_id String, branch_id String, user_id UUID, id String, created_at DateTime64(3, 'UTC'),
       sync_sequence_id Int64, sync_is_deleted UInt8, sync_created_at DateTime64(3, 'UTC') DEFAULT now64(3))
     ENGINE = ReplacingMergeTree(sync_sequence_id) ORDER BY (project_id, branch_id, user_id, id)",
    "CREATE VIEW {views}.users (`project_id` String, `branch_id` String, `id` UUID, `display_name` Nullable(String) COMMENT 'what people see')
     AS SELECT project_id, branch_id, id, display_name FROM {raw}.users FINAL WHERE sync_is_deleted = 0",
];

#[tokio::test]
async fn schema_changes_tables_of_another_system_are_replaced_when_asked_and_kept() -> Result<()> {
    let stage = Stage::before_capture().await?;
    seed(&stage.client, Shape { tenants: 3, rows: 30, seed: 3 }).await?;
    for statement in FORMER {
        stage.in_clickhouse(statement).await?;
    }
    let users: u64 = 40;
    stage
        .in_clickhouse(&format!("INSERT INTO {{raw}}.users (project_id, branch_id, id, signed_up_at, sync_sequence_id) SELECT 'former', 'main', generateUUIDv4(), addMonths(toDateTime64('2024-01-01', 3, 'UTC'), number), 5 FROM numbers({users})"))
        .await?;
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.starts_with("LS-0016") && refused.stderr.contains("--rebuild"), "{}", refused.stderr);
    let plans = planned(&stage, &["--rebuild"]).await?;
    assert!(plans.contains(&("users".to_owned(), "built_beside_and_kept".to_owned(), users)), "{plans:?}");
    let readers = Readers::start(&stage, &[("users", users)])?;
    stage.migrate(&["--rebuild"]).await?;
    readers.go_on().await?;
    let edits = BackgroundEdits::start(&stage, 9).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    edits.go_on(20).await?;
    with_short_late_writes(&stage).await?;
    filled(&stage, "users").await?;
    filled(&stage, "project_permissions").await?;
    edits.stop().await?;
    readers.stop().await?;
    stage.equal().await?;
    stage.verified().await?;
    assert_eq!(stage.seen(BESIDE).await?, "project_permissions_lockstep_old users_lockstep_old");
    assert_eq!(stage.seen("SELECT count() FROM {raw}.users_lockstep_old").await?, users.to_string());
    let comment =
        "SELECT comment FROM system.columns WHERE database = '{views}' AND table = 'users' AND name = 'display_name'";
    assert_eq!(stage.seen(comment).await?, "what people see");
    stage.end(programs).await
}
