//! SEQ-2: one sequencer leads; when it dies, another takes over within seconds, and nothing is lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::Shape;

use crate::background_edits::BackgroundEdits;
use crate::stage::Stage;

/// How many lead.
pub(crate) const LEADER: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = x'6c6f636b'::bigint AND objid::bigint = x'73657172'::bigint";

/// The process id, on the server, of whoever leads.
pub(crate) const LEADING: &str =
    "SELECT max(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = x'6c6f636b'::bigint AND objid::bigint = x'73657172'::bigint";

/// What "within seconds" means on a machine that does much else, which a stand-by asks every second.
const SECONDS: Duration = Duration::from_secs(15);

/// Who leads, as the server sees it.
pub(crate) async fn leader(stage: &Stage) -> Result<Option<i32>> {
    Ok(stage.client.query_one(LEADING, &[]).await?.try_get(0)?)
}

#[tokio::test]
async fn seq_2_a_stand_by_takes_over_from_a_leader_that_was_killed() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 5, rows: 20, seed: 4 }).await?;
    let worker = stage.worker()?;
    let mut leading = stage.sequencer()?;
    stage.until("the first sequencer to lead", LEADER, 1).await?;
    let editor = BackgroundEdits::start(&stage, 41).await?;
    for _ in 0..3 {
        let stand_by = stage.sequencer()?;
        editor.go_on(10).await?;
        let was = leader(&stage).await?.context("nobody leads")?;
        let killed = Instant::now();
        leading.kill().await?;
        stage.until("another to lead", &format!("SELECT (({LEADING}) <> {was})::int::bigint"), 1).await?;
        ensure!(killed.elapsed() < SECONDS, "nobody led for {:?}", killed.elapsed());
        stage.in_step().await?;
        assert_eq!(stage.number(LEADER).await?, 1);
        leading = stand_by;
    }
    editor.stop().await?;
    stage.equal().await?;
    // One that stops in good order lets the other lead at once, and leaves no lock.
    let stand_by = stage.sequencer()?;
    leading.stop().await?;
    stage.in_step().await?;
    stand_by.stop().await?;
    assert_eq!(stage.number(LEADER).await?, 0);
    stage.end([worker]).await
}
