//! A row of a fill that ClickHouse refuses: its block is handed to the stream, which sets the row aside.

use lockstep_testkit::attached;
use lockstep_testkit::databases::{TestDatabase, eventually};

use crate::fill::quick;
use crate::fixture::{DEADLINE, WorkerFixture};
use crate::quarantine::{REFUSE, TAKE};

/// A platform with rows; the users whose names it changes are changed before Lockstep was attached.
async fn platform(change: &str) -> WorkerFixture {
    let database = TestDatabase::create().await.unwrap();
    let client = database.connect().await.unwrap();
    attached::bare(&client).await.unwrap();
    client.batch_execute(change).await.unwrap();
    WorkerFixture::attached_to(database).await
}

const OWNED: &str = r#"FROM "ProjectUser" u JOIN "Tenancy" t ON t."id" = u."tenancyId""#;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_of_the_base_is_set_aside_and_the_rest_of_it_arrives() {
    let one =
        format!(r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE ctid = (SELECT max(u.ctid) {OWNED})"#);
    let fixture = platform(&one).await;
    fixture.change(REFUSE).await;
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    fixture.whole().await;
    eventually("the row to be in quarantine", DEADLINE, async || Ok(fixture.quarantined().await.len() == 1))
        .await
        .unwrap();
    let seen = (fixture.number(&format!("SELECT count(*) {OWNED}")).await - 1).to_string();
    fixture.eventually("all others", "SELECT count() FROM {views}.users", &seen).await;
    fixture.change(TAKE).await;
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await;
    fixture.eventually_equal().await;
    eventually("the entry to go", DEADLINE, async || Ok(fixture.quarantined().await.is_empty())).await.unwrap();
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_is_refused_as_a_whole_does_not_go_through_the_stream_as_a_whole() {
    // A few rows in each of many blocks.
    let fixture = platform(r#"UPDATE "ProjectUser" SET "displayName" = repeat('x', 1500)"#).await;
    // What is filled is refused, and what comes through the stream is not.
    let floor = fixture.number("SELECT floor FROM lockstep.fill WHERE mapping_name = 'users'").await;
    fixture.change(&format!("ALTER TABLE {{raw}}.users ADD CONSTRAINT nothing CHECK sync_sequence_id > {floor}")).await;
    let blocks = fixture.number(&format!(r#"SELECT count(DISTINCT (u.ctid::text::point)[0]) {OWNED}"#)).await;
    assert!(blocks > 20, "{blocks} blocks are too few to tell");
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    // A claim is good for 30 s, one that failed rests for a minute.
    let given_up = "SELECT count(*) FROM lockstep.fill_range WHERE mapping_name = 'users' AND finished_at IS NULL AND claimed_until > now() + interval '31 s'";
    eventually("the users' fill to be given up", DEADLINE, async || Ok(fixture.number(given_up).await > 0))
        .await
        .unwrap();
    let handed = r#"SELECT count(DISTINCT first_block) FROM lockstep.fill_range WHERE mapping_name = 'users' AND finished_at IS NOT NULL AND shipped_rows = 0"#;
    assert!(fixture.number(handed).await >= 16);
    let lines = format!("SELECT count(*) FROM lockstep.inbox WHERE target = {}", fixture.target("users"));
    let (lines, all) = (fixture.number(&lines).await, fixture.number(r#"SELECT count(*) FROM "ProjectUser""#).await);
    assert!((1..all).contains(&lines), "{lines} of {all} rows went through the stream");
    let sequencer = fixture.start_sequencer();
    eventually("the fills of all other mappings", DEADLINE, async || {
        Ok(fixture.number("SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL").await == 1)
    })
    .await
    .unwrap();
    fixture.change("ALTER TABLE {raw}.users DROP CONSTRAINT nothing").await;
    // What a minute does, for a range too that was given up at this very moment.
    let rested = "UPDATE lockstep.fill_range SET claimed_until = now() WHERE finished_at IS NULL AND claimed_until > now() + interval '31 s'";
    eventually("the users' fill", DEADLINE, async || {
        fixture.run_sql(rested).await;
        Ok(fixture.number("SELECT count(*) FROM lockstep.fill_range WHERE finished_at IS NULL").await == 0)
    })
    .await
    .unwrap();
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}
