//! OUT-1: a crash anywhere between stamping and publishing loses nothing, and neither does a queue that is lost.

use anyhow::{Result, ensure};
use lockstep_queue::{Topology, delete_queues_and_messages};
use lockstep_testkit::data::Shape;

use crate::editing::Editing;
use crate::stage::Stage;

#[tokio::test]
async fn out_1_a_sequencer_that_is_killed_again_and_again_loses_nothing() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 8, rows: 30, seed: 5 }).await?;
    let worker = stage.worker()?;
    let editors = [Editing::start(&stage, 51).await?, Editing::start(&stage, 52).await?];
    for _ in 0..8 {
        let before = stage.number("SELECT last_sequence FROM lockstep.sequence_head").await?;
        let sequencer = stage.sequencer()?;
        // It has stamped something; what it was about to do next is left to chance.
        let stamped = format!("SELECT (last_sequence > {before})::int::bigint FROM lockstep.sequence_head");
        stage.until("the sequencer to stamp", &stamped, 1).await?;
        editors[0].go_on(3).await?;
        sequencer.kill().await?;
    }
    for editor in editors {
        editor.stop().await?;
    }
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.outbox").await?, 0);
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn out_1_what_a_lost_queue_would_have_announced_is_found_by_the_sweep() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 20, seed: 6 }).await?;
    let sequencer = stage.sequencer()?;
    let outbox = "SELECT (count(*) = 0 AND (SELECT last_sequence FROM lockstep.sequence_head) > 0)::int::bigint FROM lockstep.outbox";
    let flagged = r#"SELECT count(*) FROM "EmailOutbox" WHERE "shouldUpdateSequenceId""#;
    stage.until("every row to be stamped", flagged, 0).await?;
    stage.until("every tenancy to be announced", outbox, 1).await?;
    sequencer.stop().await?;
    let settings = stage.installation.settings();
    delete_queues_and_messages(&settings.amqp_url, None, &Topology::new(&settings.queue_prefix)).await?;
    let worker = stage.worker()?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.end([sequencer, worker]).await
}

/// The broker's queues go while everything runs: both sides make them again.
#[tokio::test]
async fn out_1_queues_that_vanish_while_everything_runs_are_made_again() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let settings = stage.installation.settings();
    for name in ["first", "second"] {
        delete_queues_and_messages(&settings.amqp_url, None, &Topology::new(&settings.queue_prefix)).await?;
        stage.sql(&format!(r#"UPDATE "Team" SET "displayName" = '{name}'"#)).await?;
        stage.equal().await?;
        let seen = format!("SELECT count() FROM {{views}}.teams WHERE display_name = '{name}'");
        ensure!(stage.seen(&seen).await? == "3");
    }
    stage.end(programs).await
}
