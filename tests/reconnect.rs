//! Connections that break are opened again, and nothing is lost.

use anyhow::Result;
use lockstep_testkit::data::Shape;

use crate::background_edits::BackgroundEdits;
use crate::stage::Stage;

const THEIRS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockstep %'";

#[tokio::test]
async fn reconnect_to_postgres_as_often_as_it_takes() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 8, rows: 30, seed: 9 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    let editor = BackgroundEdits::start(&stage, 91).await?;
    for _ in 0..6 {
        editor.go_on(8).await?;
        // They may still be on their way after the last time, or on a busy machine after the start.
        let kill = format!("SELECT (count(pg_terminate_backend(pid)) > 0)::int::bigint {THEIRS}");
        stage.until("connections to break", &kill, 1).await?;
    }
    editor.stop().await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}
