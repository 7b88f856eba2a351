//! `pass`: changes that wait in the inbox get their numbers, beside the plain insert of the same lines.

use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::figures::{Scenario, median, per_second};
use super::{fsync, installation_around, passes};
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::TestDatabase;

/// Each is changed in a transaction of its own: of a million rows, 10,000 in each.
const TENANTS: u32 = 100;

pub(super) async fn measure(rows: u32, runs: u32) -> anyhow::Result<Scenario> {
    let database = TestDatabase::standalone().await?;
    let seeded = database.connect().await?;
    let shape = Shape { tenants: TENANTS, rows: rows / TENANTS, seed: 3 };
    // Before capture, so that what waits is what this changes.
    seed_tables(&seeded, shape, &[Table::Users]).await?;
    drop(seeded);
    let (installation, client) = installation_around(database).await?;
    let changes = rows / TENANTS * TENANTS;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let since = change(&client).await?;
        plain.push(plain_insert(&client, since, changes).await?);
        let before = passes::head(&client).await?;
        let began = Instant::now();
        let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
        passes::numbered(&client, before, changes).await?;
        ours.push(began.elapsed().as_secs_f64());
        passes::drained(&client).await?;
        sequencer.stop().await?;
    }
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    let ours = per_second(u64::from(changes), median(&ours));
    let plain = per_second(u64::from(changes), median(&plain));
    Ok(Scenario {
        name: "pass".to_owned(),
        ratio: ours / plain,
        baseline: "INSERT … SELECT of the same lines into a table without an index",
        figures: vec![
            ("changes", json!(changes)),
            ("changes_per_second", json!(ours)),
            ("plain_lines_per_second", json!(plain)),
            ("floor_changes_per_second", json!(100_000)),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}

/// Changes every row, tenancy by tenancy; returns the transaction before the first.
async fn change(client: &Client) -> anyhow::Result<i64> {
    let since = client.query_one("SELECT pg_current_xact_id()::text::bigint", &[]).await?.get(0);
    let sql = r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.' WHERE "tenancyId" = $1"#;
    let statement = client.prepare(sql).await?;
    for row in client.query(r#"SELECT "id" FROM "Tenancy""#, &[]).await? {
        client.execute(&statement, &[&row.get::<_, Uuid>(0)]).await?;
    }
    client.batch_execute(r#"VACUUM "ProjectUser""#).await.context("vacuuming")?;
    Ok(since)
}

/// Seconds that the server takes to copy the lines of these changes, committed.
async fn plain_insert(client: &Client, since: i64, changes: u32) -> anyhow::Result<f64> {
    client.batch_execute("CREATE TABLE lockstep.bench_lines (LIKE lockstep.inbox)").await?;
    let began = Instant::now();
    let sql = "INSERT INTO lockstep.bench_lines SELECT * FROM lockstep.inbox WHERE xid > $1";
    let copied = client.execute(sql, &[&since]).await?;
    let seconds = began.elapsed().as_secs_f64();
    client.batch_execute("DROP TABLE lockstep.bench_lines").await?;
    anyhow::ensure!(copied == u64::from(changes), "{copied} lines wait, not {changes}");
    // Its dirty pages are written out before somebody else is measured.
    client.batch_execute("CHECKPOINT").await?;
    Ok(seconds)
}
