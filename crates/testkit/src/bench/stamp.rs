//! `stamp`: flagged rows through the sequencer, beside the plain way of doing it: small updates by primary key.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use super::figures::{Scenario, median, per_second};
use super::{fsync, installation};
use crate::data::{Shape, Table, seed_tables};
use crate::databases::eventually;

const TENANTS: u32 = 100;
const DEADLINE: Duration = Duration::from_secs(600);
/// Rows of one plain update.
const PLAIN_BATCH: i64 = 1_000;
/// The plain way is measured on a share of the rows: it is slower, and its rate does not depend on the rest.
const PLAIN_SHARE: u32 = 10;

pub(super) async fn measure(rows: u32, runs: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = installation().await?;
    let shape = Shape { tenants: TENANTS, rows: rows / TENANTS, seed: 3 };
    seed_tables(&client, shape, &[Table::Users]).await?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for run in 0..runs {
        if run > 0 {
            flag(&client, u32::MAX).await?;
        }
        let began = Instant::now();
        let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
        eventually("all rows are stamped", DEADLINE, async || Ok(!flagged(&client).await?)).await?;
        ours.push(began.elapsed().as_secs_f64());
        sequencer.stop().await?;
        flag(&client, rows / PLAIN_SHARE).await?;
        plain.push(plain_loop(&client).await?);
    }
    let durable = fsync(&client).await?;
    drop(client);
    installation.remove().await?;
    let ours = per_second(u64::from(rows), median(&ours));
    let plain = per_second(u64::from(rows / PLAIN_SHARE), median(&plain));
    Ok(Scenario {
        name: "stamp".to_owned(),
        ratio: ours / plain,
        baseline: "updates of 1,000 rows by primary key",
        figures: vec![
            ("rows", json!(rows)),
            ("rows_per_second", json!(ours)),
            ("plain_rows_per_second", json!(plain)),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}

/// Changes so many rows.
async fn flag(client: &Client, rows: u32) -> anyhow::Result<()> {
    let sql = r#"UPDATE "ProjectUser" SET "displayName" = COALESCE("displayName", '') || '.'
      WHERE ctid = ANY(ARRAY(SELECT ctid FROM "ProjectUser" LIMIT $1))"#;
    client.execute(sql, &[&i64::from(rows)]).await?;
    client.batch_execute(r#"VACUUM "ProjectUser""#).await?;
    Ok(())
}

async fn flagged(client: &Client) -> anyhow::Result<bool> {
    let sql = r#"SELECT EXISTS (SELECT 1 FROM "ProjectUser" WHERE "shouldUpdateSequenceId")"#;
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn plain_loop(client: &Client) -> anyhow::Result<f64> {
    let sql = r#"UPDATE "ProjectUser" SET "sequenceId" = nextval('global_seq_id'), "shouldUpdateSequenceId" = FALSE
      WHERE ("tenancyId", "projectUserId") IN (SELECT "tenancyId", "projectUserId" FROM "ProjectUser" WHERE "shouldUpdateSequenceId" LIMIT $1)"#;
    // Otherwise capture would take these stamps for those of a foreign system.
    client.batch_execute("SET lockstep.stamping = 'on'").await?;
    let statement = client.prepare(sql).await?;
    let began = Instant::now();
    while client.execute(&statement, &[&PLAIN_BATCH]).await? > 0 {}
    let seconds = began.elapsed().as_secs_f64();
    client.batch_execute("RESET lockstep.stamping").await?;
    Ok(seconds)
}
