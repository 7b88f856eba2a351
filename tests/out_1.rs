//! OUT-1: a numbered change is announced, or still above the announced position, whatever is killed when; and a queue that
//! is lost loses nothing.

use anyhow::{Result, ensure};
use lockstep_queue::{Topology, delete_queues_and_messages};
use lockstep_testkit::data::Shape;

use crate::background_edits::BackgroundEdits;
use crate::stage::Stage;

const HEAD: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";
/// Changes above the announced position: whoever leads next announces them.
pub(crate) const UNANNOUNCED: &str =
    "SELECT count(*) FROM lockstep.change WHERE sequence > (SELECT max(sequence) FROM lockstep.announced)";

#[tokio::test]
async fn out_1_a_sequencer_that_is_killed_again_and_again_loses_nothing() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 8, rows: 30, seed: 5 }).await?;
    let worker = stage.worker()?;
    let editors = [BackgroundEdits::start(&stage, 51).await?, BackgroundEdits::start(&stage, 52).await?];
    for _ in 0..8 {
        let before = stage.number(HEAD).await?;
        let sequencer = stage.sequencer()?;
        // It has numbered something; what it was about to do next is left to chance.
        stage
            .until("the sequencer to number something", &format!("SELECT (({HEAD}) > {before})::int::bigint"), 1)
            .await?;
        editors[0].go_on(3).await?;
        sequencer.kill().await?;
    }
    for editor in editors {
        editor.stop().await?;
    }
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.until("everything to be announced", UNANNOUNCED, 0).await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn out_1_what_a_lost_queue_would_have_announced_is_found_by_the_sweep() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 20, seed: 6 }).await?;
    let sequencer = stage.sequencer()?;
    stage.numbered().await?;
    stage.until("every change to be announced", UNANNOUNCED, 0).await?;
    sequencer.stop().await?;
    let settings = stage.installation.settings();
    delete_queues_and_messages(&settings.amqp_url, None, &Topology::new(&settings.queue_prefix)).await?;
    let worker = stage.worker()?;
    let sequencer = stage.sequencer()?;
    stage.equal().await?;
    stage.end([sequencer, worker]).await
}

/// Until a broker has confirmed it, a change stays above the announced position.
#[tokio::test]
async fn out_1_what_no_broker_has_confirmed_stays_above_the_announced_position() -> Result<()> {
    let stage = Stage::small().await?;
    let away = [("LOCKSTEP_AMQP_URL", "amqp://127.0.0.1:1/%2f".to_owned())];
    let alone = stage.installation.start_with("lockstep-sequencer", "lockstep-sequencer-alone", &away)?;
    stage.numbered().await?;
    alone.kill().await?;
    let changes = stage.number("SELECT count(*) FROM lockstep.change").await?;
    ensure!(
        changes > 0 && stage.number(UNANNOUNCED).await? == changes,
        "changes are called announced that nobody was told"
    );
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.until("every change to be announced", UNANNOUNCED, 0).await?;
    stage.equal().await?;
    stage.end(programs).await
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
