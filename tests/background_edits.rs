//! Edits that go on in a task of their own while the test does something to the programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::edits;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;

use crate::stage::{DEADLINE, Stage};

/// An editor at work.
pub(crate) struct BackgroundEdits {
    task: JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
}

impl BackgroundEdits {
    /// Begins; another seed makes other edits.
    pub(crate) async fn start(stage: &Stage, seed: u64) -> Result<Self> {
        Self::start_at(stage, seed, None).await
    }

    /// The same with one edit in each of these times, at most.
    pub(crate) async fn start_at(stage: &Stage, seed: u64, pace: Option<Duration>) -> Result<Self> {
        let client = stage.connect().await?;
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopping, making) = (Arc::clone(&stop), Arc::clone(&made));
        let task = tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut pace = pace.map(tokio::time::interval);
            while !stopping.load(Ordering::Relaxed) {
                edits::one(&client, &mut rng).await?;
                making.fetch_add(1, Ordering::Relaxed);
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
            }
            Ok(())
        });
        Ok(Self { task, stop, made })
    }

    /// Waits until so many more edits were made.
    pub(crate) async fn go_on(&self, edits: usize) -> Result<()> {
        let wanted = self.made.load(Ordering::Relaxed) + edits;
        let what = format!("{edits} further edits");
        eventually(&what, DEADLINE, async || Ok(self.made.load(Ordering::Relaxed) >= wanted)).await
    }

    /// Ends after the edit in hand.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the editor panicked")?
    }
}
