//! The whole system at work: twelve mappings arrive, stay in step while rows are edited in every way, and are proven equal.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::Shape;
use lockstep_testkit::edits;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::stage::Stage;

const EDITS: usize = 150;

#[tokio::test]
async fn end_to_end_twelve_mappings_stay_in_step_while_rows_are_edited() -> Result<()> {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let stage = Stage::seeded(Shape { tenants: 10, rows: 40, seed: 1 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    tokio::try_join!(edit(&stage, seed), edit(&stage, seed + 1))?;
    let report = stage.equal().await?;
    for mapping in &report.mappings {
        ensure!(mapping.source_rows > 10, "{} has only {} rows", mapping.mapping, mapping.source_rows);
    }
    let verified = stage.verifier(&["--output", "json"]).await?;
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    let verified: Value = serde_json::from_str(&verified.stdout).context("the verifier's JSON")?;
    assert_eq!(verified["verdict"], "equal");
    assert_eq!(verified["mappings"].as_array().map(Vec::len), Some(12));
    nothing_waits(&stage).await?;
    stage.end(programs).await
}

async fn edit(stage: &Stage, seed: u64) -> Result<()> {
    let client = stage.connect().await?;
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..EDITS {
        edits::one(&client, &mut rng).await?;
    }
    Ok(())
}

async fn nothing_waits(stage: &Stage) -> Result<()> {
    let status = stage.installation.succeed("lockstep", &["status", "--output", "json"]).await?;
    let status: Value = serde_json::from_str(&status.stdout).context("the JSON of `lockstep status`")?;
    for waiting in ["inbox_lines", "expansions", "unannounced", "quarantine", "erasures"] {
        assert_eq!(status[waiting], 0, "{waiting} in {status}");
    }
    assert_eq!(status["passed"], status["last_sequence"], "{status}");
    assert_eq!(status["queue"]["dead"], 0, "{status}");
    let mappings = status["mappings"].as_array().context("mappings")?;
    assert_eq!(mappings.len(), 12);
    for mapping in mappings {
        assert_eq!(mapping["tenancies_behind"], 0, "{mapping}");
        assert_eq!(mapping["filled"], true, "{mapping}");
    }
    Ok(())
}
