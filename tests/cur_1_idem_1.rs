//! CUR-1: a cursor never passes a change that ClickHouse does not hold, and never moves back, whoever is killed meanwhile.
//! IDEM-1: shipping everything again changes nothing that a reader can see.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use lockstep_destinations::{Cursors, Destination, Selection};
use lockstep_testkit::data::{Shape, Table, seed_tables};

use crate::stage::Stage;

/// Users: 20,000.
const ROWS: Shape = Shape { tenants: 5, rows: 4_000, seed: 7 };
const KILLS: usize = 8;

/// The last change of each user of a tenancy, up to a number.
const CHANGED: &str = "SELECT uuid_1::text, max(sequence) FROM lockstep.change
    WHERE mapping = (SELECT id FROM lockstep.target WHERE name = 'users') AND tenancy_id = $1 AND sequence <= $2 GROUP BY 1";

/// Looks at cursors first, then at what was numbered up to them, then at what ClickHouse holds. Returns the cursors.
async fn look(stage: &Stage, before: &Cursors) -> Result<Cursors> {
    let clickhouse = stage.installation.clickhouse()?;
    let cursors = clickhouse.cursors(Selection::All, Selection::All).await?;
    for (whose, before) in before {
        let now = cursors.get(whose);
        ensure!(now >= Some(before), "the cursor of {whose:?} moved from {before} back to {now:?}");
    }
    let mut passed = Vec::new();
    let users = "users".parse()?;
    for ((tenancy, mapping), cursor) in &cursors {
        if *mapping == users {
            passed.extend(stage.client.query(CHANGED, &[&tenancy.as_uuid(), &cursor.get()]).await?);
        }
    }
    let held = format!("SELECT id, max(sync_sequence_id) FROM {}.users GROUP BY id", stage.installation.raw_database());
    let held: HashMap<String, i64> = clickhouse.fetch_rows::<(String, i64)>(&held).await?.into_iter().collect();
    for row in passed {
        let (id, number): (String, i64) = (row.get(0), row.get(1));
        ensure!(held.get(&id) >= Some(&number), "a cursor passed number {number}, which ClickHouse does not hold");
    }
    Ok(cursors)
}

#[tokio::test]
async fn cur_1_workers_that_are_killed_while_they_ship_lose_nothing() -> Result<()> {
    let stage = Stage::empty().await?;
    seed_tables(&stage.client, ROWS, &[Table::Users, Table::Teams]).await?;
    let sequencer = stage.sequencer()?;
    stage.numbered().await?;
    let mut cursors = Cursors::new();
    let mut arrived = "0".to_owned();
    let mut workers = vec![stage.worker()?, stage.worker()?];
    for kill in 0..KILLS {
        let more = format!("SELECT max(sync_sequence_id) > {arrived} FROM {{raw}}.users");
        stage.until_seen("newer rows to arrive", &more, "1").await?;
        cursors = look(&stage, &cursors).await?;
        workers.remove(kill % 2).kill().await?;
        cursors = look(&stage, &cursors).await?;
        arrived = stage.seen("SELECT max(sync_sequence_id) FROM {raw}.users").await?;
        // So that there always is something newer to ship.
        let again = format!(
            r#"UPDATE "Team" SET "displayName" = 'after kill {kill}'; UPDATE "ProjectUser" SET "displayName" = 'after kill {kill}' WHERE abs(hashtext("projectUserId"::text)) % {KILLS} = {kill}"#
        );
        stage.sql(&again).await?;
        workers.insert(kill % 2, stage.worker()?);
    }
    stage.equal().await?;
    look(&stage, &cursors).await?;
    workers.push(sequencer);
    stage.end(workers).await
}

#[tokio::test]
async fn idem_1_shipping_everything_again_changes_nothing() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 40, seed: 8 }).await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.sql(r#"DELETE FROM "ProjectUser" WHERE "isAnonymous""#).await?;
    stage.equal().await?;
    worker.stop().await?;
    let tombstones = "SELECT count() > 0 FROM {raw}.users WHERE sync_is_deleted = 1";
    assert_eq!(stage.seen(tombstones).await?, "1", "there is no tombstone that could be shipped again");
    // Its cursors are lost: everything is shipped a second time, tombstones too.
    stage.in_clickhouse("TRUNCATE TABLE {raw}._stack_sync_metadata SYNC").await?;
    let worker = stage.worker()?;
    stage.equal().await?;
    // Twice as many rows, or fewer where they were merged; no other ones.
    stage.in_clickhouse("OPTIMIZE TABLE {raw}.users FINAL").await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}
