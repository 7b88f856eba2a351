//! A row of the base that ClickHouse refuses: its block is handed to the stream, which sets the row aside.

use std::time::Duration;

use lockstep_testkit::attached;
use lockstep_testkit::databases::{TestDatabase, eventually};
use lockstep_worker::Limits;

use crate::fixture::{DEADLINE, House};
use crate::quarantine::{REFUSE, TAKE};

fn quick() -> Limits {
    Limits { snapshot_poll_every: Duration::from_millis(50), ..Limits::default() }
}

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
    let worker = house.start_to(house.clickhouse.clone(), quick());
    eventually("every base snapshot to be whole", DEADLINE, async || {
        Ok(house.number("SELECT count(*) FROM lockstep.snapshot WHERE finished_at IS NULL").await == 0)
    })
    .await
    .unwrap();
    let flagged = house.number(r#"SELECT count(*) FROM "ProjectUser" WHERE "shouldUpdateSequenceId""#).await;
    let all = house.number(r#"SELECT count(*) FROM "ProjectUser""#).await;
    assert!((1..all / 4).contains(&flagged), "{flagged} of {all} rows were written to");
    house.stamp().await;
    house.announce(&house.tenancies().await, &[]).await;
    eventually("the row to be in quarantine", DEADLINE, async || Ok(house.quarantined().await.len() == 1))
        .await
        .unwrap();
    let seen = (house.number(&format!("SELECT count(*) {OWNED}")).await - 1).to_string();
    house.eventually("all others", "SELECT count() FROM {views}.users", &seen).await;
    house.change(TAKE).await;
    house.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await;
    house.stamp().await;
    house.announce(&house.tenancies().await, &[]).await;
    house.eventually_equal().await;
    eventually("the entry to go", DEADLINE, async || Ok(house.quarantined().await.is_empty())).await.unwrap();
    worker.stop().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_refused_as_a_whole_is_not_flagged_as_a_whole() {
    // A few rows in each of many blocks.
    let house = platform(r#"UPDATE "ProjectUser" SET "displayName" = repeat('x', 1500)"#).await;
    house.change("ALTER TABLE {raw}.users ADD CONSTRAINT nothing CHECK sync_sequence_id > 0").await;
    let blocks = house.number(&format!(r#"SELECT count(DISTINCT (u.ctid::text::point)[0]) {OWNED}"#)).await;
    assert!(blocks > 20, "{blocks} blocks are too few to tell");
    let worker = house.start_to(house.clickhouse.clone(), quick());
    // A claim is good for five minutes, one that failed rests for one.
    let given_up = "SELECT count(*) FROM lockstep.snapshot_range WHERE mapping_name = 'users' AND finished_at IS NULL AND claimed_until BETWEEN now() + interval '1 second' AND now() + interval '2 minutes'";
    eventually("the users' base to be given up", DEADLINE, async || Ok(house.number(given_up).await > 0))
        .await
        .unwrap();
    let handed = r#"SELECT count(DISTINCT first_block) FROM lockstep.snapshot_range WHERE mapping_name = 'users' AND finished_at IS NOT NULL AND shipped_rows = 0"#;
    assert!(house.number(handed).await >= 16);
    let flagged = r#"SELECT count(*) FROM "ProjectUser" WHERE "shouldUpdateSequenceId""#;
    let (flagged, all) = (house.number(flagged).await, house.number(r#"SELECT count(*) FROM "ProjectUser""#).await);
    assert!(flagged < all, "the whole table was flagged");
    eventually("the base of all other mappings", DEADLINE, async || {
        Ok(house.number("SELECT count(*) FROM lockstep.snapshot WHERE finished_at IS NULL").await == 1)
    })
    .await
    .unwrap();
    house.change("ALTER TABLE {raw}.users DROP CONSTRAINT nothing").await;
    house.stamp().await;
    house.announce(&house.tenancies().await, &[]).await;
    // What a minute does.
    house.run_sql("UPDATE lockstep.snapshot_range SET claimed_until = now() WHERE finished_at IS NULL").await;
    house.eventually_equal().await;
    worker.stop().await;
    house.remove().await;
}
