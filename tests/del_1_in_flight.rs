//! DEL-1, IDEM-1: a key goes and comes again while a batch that knows it otherwise is on its way. In five tables at once,
//! whose rows come again with their natural keys. The moments before that are in `del_1.rs`.

use anyhow::{Result, ensure};
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_destinations::{DestinationError, Failure};

use crate::del_1::{MAPPINGS, ada_can_leave, ada_is, ada_is_seen};
use crate::held_writes::{HeldFlushes, flusher, hints};
use crate::stage::Stage;

/// What a batch knows, what happens while it is on its way, and whether Ada is there in the end.
const ORDERS: [(&[&str], &[&str], bool); 5] = [
    (&["leave"], &["rejoin"], true),
    (&["leave"], &["rejoin", "leave"], false),
    (&["rejoin"], &["leave"], false),
    (&["leave", "rejoin"], &["leave", "rejoin"], true),
    (&["leave", "rejoin"], &["leave"], false),
];

/// Each step is a transaction, and everything has its numbers afterwards.
async fn numbered(stage: &Stage, steps: &[&str]) -> Result<()> {
    for step in steps {
        stage.sql(&format!("SELECT {step}()")).await?;
    }
    stage.numbered().await
}

/// There, or gone, before each order.
async fn ready(stage: &Stage, first: &[&str], is_there: &mut bool) -> Result<()> {
    if *is_there != (first[0] == "leave") {
        numbered(stage, &[if *is_there { "leave" } else { "rejoin" }]).await?;
        *is_there = !*is_there;
    }
    Ok(())
}

/// The same as [`ada_is`], where no worker runs that would say how far everything is shipped.
async fn ada_shows(stage: &Stage, there: bool) -> Result<()> {
    let report = lockstep_oracle::compare(&stage.client, &stage.installation.endpoint()).await?;
    ensure!(report.equal(), "{report}");
    ada_is_seen(stage, there).await
}

/// One worker has read and not written, for as long as it takes another to ship what came after.
#[tokio::test(flavor = "multi_thread")]
async fn del_1_in_flight_between_reading_and_writing() -> Result<()> {
    let stage = ada_can_leave().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    ada_is(&stage, true).await?;
    let mut is_there = true;
    for (known, meanwhile, there) in ORDERS {
        ready(&stage, known, &mut is_there).await?;
        ada_is(&stage, is_there).await?;
        worker.signal("STOP").await?;
        numbered(&stage, known).await?;
        let held = HeldFlushes::after_reading(&stage, &MAPPINGS).await?;
        numbered(&stage, meanwhile).await?;
        worker.signal("CONT").await?;
        ada_is(&stage, there).await?;
        held.release().await?;
        ada_is(&stage, there).await?;
        is_there = there;
    }
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}

/// A batch is written, its cursors are not, and it comes again after more has happened.
#[tokio::test(flavor = "multi_thread")]
async fn del_1_in_flight_while_the_batch_is_redelivered() -> Result<()> {
    let stage = ada_can_leave().await?;
    let sequencer = stage.sequencer()?;
    let worker = stage.worker()?;
    ada_is(&stage, true).await?;
    worker.stop().await?;
    let destination = Faulty::new(stage.installation.clickhouse()?);
    let mut flusher = flusher(&stage, destination.clone())?;
    let hints = hints(&stage, &MAPPINGS).await?;
    let mut is_there = true;
    for (known, meanwhile, there) in ORDERS {
        ready(&stage, known, &mut is_there).await?;
        flusher.flush(&hints).await;
        numbered(&stage, known).await?;
        let lost = DestinationError::new(Failure::Unavailable, "ClickHouse", "as scripted");
        destination.script(Operation::Advance, [Some(Fault::Before(lost))]);
        let written = flusher.flush(&hints).await;
        ensure!(written.rows >= 5 && written.retry.pairs() == hints.pairs(), "{written:?}");
        numbered(&stage, meanwhile).await?;
        let again = flusher.flush(&hints).await;
        ensure!(again.retry.is_empty() && again.failed.is_empty() && again.more.is_empty(), "{again:?}");
        ada_shows(&stage, there).await?;
        is_there = there;
    }
    stage.end([sequencer]).await
}

/// IDEM-1, CUR-1: a worker that stood still with old versions in hand does not put them before newer ones, nor its cursor
/// before that of others.
#[tokio::test(flavor = "multi_thread")]
async fn idem_1_a_worker_that_stood_still_between_reading_and_writing_changes_nothing() -> Result<()> {
    const STALE: [&str; 3] = ["users", "teams", "contact_channels"];
    let stage = Stage::small().await?;
    let (sequencer, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let rename = |to: &str| {
        format!(
            r#"UPDATE "ProjectUser" SET "displayName" = '{to}'; UPDATE "Team" SET "displayName" = '{to}';
               UPDATE "ContactChannel" SET "value" = '{to}' || "id""#
        )
    };
    worker.signal("STOP").await?;
    stage.sql(&rename("stale")).await?;
    stage.numbered().await?;
    let held = HeldFlushes::after_reading(&stage, &STALE).await?;
    worker.signal("CONT").await?;
    for to in ["newer", "newest"] {
        stage.sql(&rename(to)).await?;
        stage.equal().await?;
    }
    let cursors = "SELECT max(last_synced_sequence_id) FROM {raw}._stack_sync_metadata";
    let before = stage.seen(cursors).await?;
    // What is late is to be seen below.
    stage.in_clickhouse("SYSTEM STOP MERGES {raw}.users").await?;
    held.release().await?;
    stage.equal().await?;
    ensure!(stage.seen(cursors).await? == before, "a cursor moved");
    let stale = "SELECT count() FROM {views}.users WHERE display_name <> 'newest'";
    ensure!(stage.seen(stale).await? == "0", "a stale row is seen");
    // It was there, and lost: the late rows did arrive.
    let late = "SELECT count() > 0 FROM {raw}.users WHERE display_name = 'stale'";
    ensure!(stage.seen(late).await? == "1", "nothing stale was written");
    stage.verified().await?;
    stage.end([sequencer, worker]).await
}
