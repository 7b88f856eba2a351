//! Live edits beside everything else, and what was edited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use lockstep_core::shutdown::Shutdown;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use lockstep_testkit::databases::eventually;
use lockstep_testkit::edits;
use lockstep_testkit::installation::Installation;

/// Between two edits of one editor: people and programs edit in their own time, and the lag is not that of a full load.
const PAUSE: Duration = Duration::from_millis(15);

/// Edits by name.
pub(super) type Made = BTreeMap<String, usize>;

/// Some tasks that edit at the same time.
pub(super) struct Editor {
    tasks: JoinSet<anyhow::Result<()>>,
    stop: Shutdown,
    made: Arc<Mutex<Made>>,
}

impl Editor {
    pub(super) async fn start(installation: &Installation, editors: u64) -> anyhow::Result<Self> {
        let (stop, made) = (Shutdown::new(), Arc::new(Mutex::new(Made::new())));
        let mut tasks = JoinSet::new();
        for seed in 0..editors {
            let client = installation.database().connect().await?;
            let (stop, made) = (stop.clone(), Arc::clone(&made));
            tasks.spawn(async move {
                let mut rng = StdRng::seed_from_u64(seed);
                while stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
                    let kind = edits::one(&client, &mut rng).await?;
                    *made.lock().unwrap_or_else(PoisonError::into_inner).entry(kind.to_string()).or_default() += 1;
                }
                Ok(())
            });
        }
        Ok(Self { tasks, stop, made })
    }

    /// What was edited so far.
    pub(super) fn made(&self) -> Made {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails when an editor has failed.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => {
                ended.context("an editor panicked")??;
                bail!("an editor ended by itself")
            }
        }
    }

    /// Waits until so many edits were made.
    pub(super) async fn until(&mut self, edits: usize) -> anyhow::Result<()> {
        let what = format!("{edits} live edits");
        eventually(&what, Duration::from_secs(300), async || {
            self.check()?;
            Ok(self.made().values().sum::<usize>() >= edits)
        })
        .await
    }

    /// Stops editing; the edits in hand are finished.
    pub(super) async fn stop(mut self) -> anyhow::Result<Made> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("an editor panicked")??;
        }
        Ok(self.made())
    }
}
