//! Somebody who reads all the time, while something is done to what is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use tokio::task::JoinHandle;

use crate::stage::{DEADLINE, Stage};

/// A reader of counts, one table or view after the other.
pub(super) struct Readers {
    task: JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
}

impl Readers {
    /// Begins to count the rows of these mappings, in the view and in the raw table. It fails at an error, and where fewer are
    /// there than these.
    pub(super) fn start(stage: &Stage, of: &[(&'static str, u64)]) -> Result<Self> {
        let clickhouse = stage.installation.clickhouse()?;
        let (raw, views) = (stage.installation.raw_database(), stage.installation.view_database());
        let queries: Vec<_> = of
            .iter()
            .flat_map(|(name, least)| {
                let view = format!("SELECT count() FROM {views}.{name}");
                let table = format!("SELECT count() FROM {raw}.{name} FINAL WHERE sync_is_deleted = 0");
                [(view, *least), (table, *least)]
            })
            .collect();
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&rounds));
        let task = tokio::spawn(async move {
            while !stopping.load(Ordering::Relaxed) {
                for (query, least) in &queries {
                    let rows: u64 =
                        clickhouse.fetch_text(query).await.with_context(|| query.clone())?.trim().parse()?;
                    ensure!(rows >= *least, "{query}: {rows} rows, at least {least} are there all the time");
                }
                counting.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { task, stop, rounds })
    }

    /// Waits until everything was read once more.
    pub(super) async fn go_on(&self) -> Result<()> {
        let wanted = self.rounds.load(Ordering::Relaxed) + 2;
        let read = async || Ok(self.task.is_finished() || self.rounds.load(Ordering::Relaxed) >= wanted);
        eventually("readers to go on", DEADLINE, read).await
    }

    /// Ends; what was read has to be right up to then.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("a reader panicked")?
    }
}
