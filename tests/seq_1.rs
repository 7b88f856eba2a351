//! SEQ-1: commit order is sequence order, even while two sequencers believe that they lead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::Shape;
use tokio_postgres::Client;

use crate::background_edits::BackgroundEdits;
use crate::seq_2::{LEADER, LEADING, leader};
use crate::stage::Stage;

/// Changes above a number, in one snapshot, as a worker looks for them.
const ABOVE: &str = "SELECT sequence FROM lockstep.change WHERE sequence > $1";

/// Reads on from the highest number that it has seen, and remembers all it saw.
async fn read(client: Client, stop: Arc<AtomicBool>) -> Result<BTreeSet<i64>> {
    let mut seen = BTreeSet::new();
    loop {
        let is_last = stop.load(Ordering::SeqCst);
        let after = seen.last().copied().unwrap_or(0);
        seen.extend(client.query(ABOVE, &[&after]).await?.iter().map(|row| row.get::<_, i64>(0)));
        if is_last {
            return Ok(seen);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seq_1_a_reader_that_goes_on_from_its_highest_number_misses_nothing() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 8, rows: 30, seed: 3 }).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read(stage.connect().await?, Arc::clone(&stop)));
    let worker = stage.worker()?;
    let first = stage.sequencer()?;
    stage.until("the first sequencer to lead", LEADER, 1).await?;
    let second = stage.sequencer()?;
    let editors = [BackgroundEdits::start(&stage, 31).await?, BackgroundEdits::start(&stage, 32).await?];
    // The leader stands still past its leadership, wherever in its work it is, and goes on when another leads.
    for stopped in [&first, &second, &first] {
        editors[0].go_on(20).await?;
        stopped.signal("STOP").await?;
        let was = leader(&stage).await?.context("nobody leads")?;
        // Its connections outlive its leadership, all but the one that holds the lock.
        stage.sql(&format!("SELECT pg_terminate_backend({was})")).await?;
        let another = format!("SELECT (({LEADING}) <> {was})::int::bigint");
        stage.until("another to lead", &another, 1).await?;
        editors[0].go_on(20).await?;
        stopped.signal("CONT").await?;
    }
    for editor in editors {
        editor.stop().await?;
    }
    stage.equal().await?;
    stop.store(true, Ordering::SeqCst);
    let seen = reader.await.context("the reader panicked")??;
    let rows = stage.client.query(ABOVE, &[&0_i64]).await?;
    ensure!(rows.len() > 500, "there are only {} changes", rows.len());
    for row in rows {
        let sequence: i64 = row.get(0);
        ensure!(seen.contains(&sequence), "the reader went past number {sequence} without seeing it");
    }
    stage.end([first, second, worker]).await
}
