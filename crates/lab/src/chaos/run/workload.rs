//! The workload: lanes that make their operations when it is time, through restarts of Postgres too.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use lockstep_schema::SqlStateKind;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::Client;

use super::operation::sqlstate;
use super::plan::{LANES, Planned, Seeded};
use lockstep_testkit::databases::connect;

/// An operation that cannot be made for this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Default, Debug)]
pub(super) struct Worked {
    /// Operations by name.
    pub(super) made: BTreeMap<&'static str, usize>,
    /// Operations for which nothing was there, or whose rows another lane was changing.
    pub(super) void: usize,
    /// How often an operation was tried again because the connection had broken.
    pub(super) again: usize,
}

/// Makes all operations, each not before its time.
pub(super) async fn run(url: &str, operations: &[Planned<Seeded>], began: Instant) -> anyhow::Result<Worked> {
    let lanes = (0..LANES).map(|lane| async move {
        let mut worked = Worked::default();
        let mut client = None;
        for planned in operations.iter().skip(lane).step_by(LANES) {
            sleep_until(began + Duration::from_millis(planned.at_ms)).await;
            let made = make(url, &mut client, &planned.what, &mut worked.again).await;
            let name = planned.what.operation.name();
            if made.with_context(|| format!("the workload's operation: {name}"))? {
                *worked.made.entry(name).or_default() += 1;
            } else {
                worked.void += 1;
            }
        }
        Ok::<_, anyhow::Error>(worked)
    });
    let mut all = Worked::default();
    for worked in try_join_all(lanes).await? {
        worked.made.into_iter().for_each(|(name, count)| *all.made.entry(name).or_default() += count);
        all.void += worked.void;
        all.again += worked.again;
    }
    Ok(all)
}

/// Makes one operation, as often as it takes while Postgres is away. One whose answer was lost may be made twice: that
/// concerns nobody, the source says what was done.
async fn make(url: &str, client: &mut Option<Client>, seeded: &Seeded, again: &mut usize) -> anyhow::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match attempt(url, client, seeded).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if !is_passing(&error) || Instant::now() > deadline {
            return Err(error);
        }
        *client = None;
        *again += 1;
        sleep(PAUSE).await;
    }
}

async fn attempt(url: &str, client: &mut Option<Client>, seeded: &Seeded) -> anyhow::Result<bool> {
    let open = match client.take() {
        Some(open) => open,
        None => connect(url).await?,
    };
    let made = seeded.operation.make(&open, seeded.seed).await;
    *client = Some(open);
    made
}

/// Whether the server was away or going, or another lane in the way, rather than anything wrong with the statement.
fn is_passing(error: &anyhow::Error) -> bool {
    match sqlstate(error) {
        Some(state) => SqlStateKind::of(state.code()).is_passing(),
        // No answer of the server's.
        None => error.chain().any(|cause| cause.is::<tokio_postgres::Error>() || cause.is::<Elapsed>()),
    }
}
