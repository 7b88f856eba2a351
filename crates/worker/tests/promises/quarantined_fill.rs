//! A row of a fill that ClickHouse refuses: its block is handed to the stream, which sets the row aside.

use lockstep_testkit::attached;
use lockstep_testkit::databases::{TestDatabase, eventually};

use crate::fill::quick;
use crate::fixture::{DEADLINE, House};
use crate::quarantine::{REFUSE, TAKE};

/// A platform with rows; the users whose names it changes are changed before Lockstep was attached.
async fn platform(change: &str) -> House {
    let database = TestDatabase::create().await.unwrap();
    let client = database.connect().await.unwrap();
    attached::bare(&client).await.unwrap();
    client.batch_execute(change).await.unwrap();
    House::attached_to(database).await
}

const OWNED: &str = r#"FROM "ProjectUser" u JOIN "Tenancy" t ON t."id" = u."tenancyId""#;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_of_the_base_is_set_aside_and_the_rest_of_it_arrives() {
    let one =
        format!(r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE ctid = (SELECT max(u.ctid) {OWNED})"#);
    let house = platform(&one).await;
    house.change(REFUSE).await;
    let sequencer = house.start_sequencer();
    let worker = house.start_to(house.clickhouse.clone(), quick());
    house.whole().await;
    eventually("the row to be in quarantine", DEADLINE, async || Ok(house.quarantined().await.len() == 1))
        .await
        .unwrap();
    let seen = (house.number(&format!("SELECT count(*) {OWNED}")).await - 1).to_string();
    house.eventually("all others", "SELECT count() FROM {views}.users", &seen).await;
    house.change(TAKE).await;
    house.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await;
    house.eventually_equal().await;
    eventually("the entry to go", DEADLINE, async || Ok(house.quarantined().await.is_empty())).await.unwrap();
    worker.stop().await;
    sequencer.stop().await.unwrap();
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_is_refused_as_a_whole_does_not_go_through_the_stream_as_a_whole() {
    // A few rows in each of many blocks.
    let house = platform(r#"UPDATE "ProjectUser" SET "displayName" = repeat('x', 1500)"#).await;
    // What is filled is refused, and what comes through the stream is not.
    let floor = house.number("SELECT floor FROM lockstep.fill WHERE mapping_name = 'users'").await;
    house.change(&format!("ALTER TABLE {{raw}}.users ADD CONSTRAINT nothing CHECK sync_sequence_id > {floor}")).await;
    let blocks = house.number(&format!(r#"SELECT count(DISTINCT (u.ctid::text::point)[0]) {OWNED}"#)).await;
    assert!(blocks > 20, "{blocks} blocks are too few to tell");
    let worker = house.start_to(house.clickhouse.clone(), quick());
    // A claim is good for 30 s, one that failed rests for a minute.
    let given_up = "SELECT count(*) FROM lockstep.fill_range WHERE mapping_name = 'users' AND finished_at IS NULL AND claimed_until > now() + interval '31 s'";
    eventually("the users' fill to be given up", DEADLINE, async || Ok(house.number(given_up).await > 0))
        .await
        .unwrap();
    let handed = r#"SELECT count(DISTINCT first_block) FROM lockstep.fill_range WHERE mapping_name = 'users' AND finished_at IS NOT NULL AND shipped_rows = 0"#;
    assert!(house.number(handed).await >= 16);
    let lines = format!("SELECT count(*) FROM lockstep.inbox WHERE target = {}", house.target("users"));
    let (lines, all) = (house.number(&lines).await, house.number(r#"SELECT count(*) FROM "ProjectUser""#).await);
    assert!((1..all).contains(&lines), "{lines} of {all} rows went through the stream");
    let sequencer = house.start_sequencer();
    eventually("the fills of all other mappings", DEADLINE, async || {
        Ok(house.number("SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL").await == 1)
    })
    .await
    .unwrap();
    house.change("ALTER TABLE {raw}.users DROP CONSTRAINT nothing").await;
    // What a minute does.
    house.run_sql("UPDATE lockstep.fill_range SET claimed_until = now() WHERE finished_at IS NULL").await;
    house.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    house.remove().await;
}
