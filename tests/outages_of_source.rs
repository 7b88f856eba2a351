//! A source that takes no writes, or is not there: everything waits, says why, and goes on by itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase, connect, eventually};
use lockstep_testkit::installation::Installation;
use lockstep_testkit::proxy::{Mode, Proxy};

use tokio::time::timeout;

use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// After a switch-over the URL names a standby for a while, until that is promoted.
#[tokio::test]
async fn outages_a_source_that_has_become_a_standby_is_waited_for() -> Result<()> {
    let mut server = PrivatePostgres::start().await?;
    let database = TestDatabase::create_on(server.url()).await?;
    let name = database.name().to_owned();
    let stage = Stage::of(Installation::around(database)?).await?;
    stage.migrate(&["--standalone"]).await?;
    seed(&stage.client, Shape { tenants: 3, rows: 20, seed: 4 }).await?;
    let before = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for program in before {
        program.stop().await?;
    }
    let mut standby = server.replica().await?;
    let url = standby.url_of(&name);
    let elsewhere = [("LOCKSTEP_SOURCE_URL", url.as_str())];
    let programs =
        [stage.start_with("lockstep-sequencer", &elsewhere)?, stage.start_with("lockstep-worker", &elsewhere)?];
    for program in &programs {
        eventually("it to say why it waits", DEADLINE, async || Ok(program.logged()?.contains("LS-0034"))).await?;
    }
    let promoted = connect(&url).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    promoted.batch_execute(r#"UPDATE public."ProjectUser" SET "displayName" = 'after the switch'"#).await?;
    let wait = ended(with_changed(&stage, "lockstep", &elsewhere).args(["wait", "--all", "--timeout", "60"])).await?;
    ensure!(wait.status.success(), "{}", String::from_utf8_lossy(&wait.stderr));
    let left = "SELECT count() FROM {views}.users WHERE display_name != 'after the switch' OR display_name IS NULL";
    assert_eq!(stage.seen(left).await?, "0");
    for program in programs {
        program.stop().await?;
    }
    drop(promoted);
    standby.stop().await?;
    stage.end([]).await?;
    server.stop().await
}

/// Whoever stops a worker waits for 45 s at most, and kills it then; what it has in hand is given 30.
#[tokio::test]
async fn outages_a_source_that_is_silent_holds_up_no_workers_end() -> Result<()> {
    const ENDS_WITHIN: Duration = Duration::from_secs(40);
    let stage = Stage::small().await?;
    let (proxy, url) = Proxy::before(stage.installation.database().url()).await?;
    let sequencer = stage.sequencer()?;
    let worker = stage.start_with("lockstep-worker", &[("LOCKSTEP_SOURCE_URL", &url)])?;
    stage.in_step().await?;
    proxy.set(Mode::HalfOpen);
    let asks = "the registry of tenants' destinations does not answer";
    eventually("it to ask in vain", DEADLINE, async || Ok(worker.logged()?.contains(asks))).await?;
    timeout(ENDS_WITHIN, worker.stop()).await.context("it waits for the source")??;
    stage.end([sequencer]).await
}
