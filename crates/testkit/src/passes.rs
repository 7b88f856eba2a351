//! The sequencer by hand: passes when a test wants them, with the sequencer's own numbering, and nobody else's.

use std::sync::Arc;

use anyhow::Context;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{expand, inbox};
use lockstep_schema::{Session, Source};
use lockstep_sequencer::{Numbering, SequencerError};
use tokio::task::JoinHandle;

/// Makes passes over one source.
pub struct Passes {
    numbering: Numbering,
    source: Source,
    set: Arc<MappingSet>,
}

impl Passes {
    /// Connects with the first pass.
    pub fn new(source: Source, set: &MappingSet) -> Self {
        let set = Arc::new(set.clone());
        Self { numbering: Numbering::new(source.clone(), Arc::clone(&set)), source, set }
    }

    /// Numbers what waits, without searching for rows that depend on it.
    ///
    /// # Errors
    /// What the sequencer fails with.
    pub async fn number(&mut self) -> anyhow::Result<()> {
        loop {
            let report = self.numbering.poll().await.context("a pass")?;
            if !report.more {
                return Ok(());
            }
        }
    }

    /// Passes and searches in turn, until nothing waits any more.
    ///
    /// # Errors
    /// What the sequencer fails with.
    pub async fn until_done(&mut self) -> anyhow::Result<()> {
        self.number().await?;
        while self.search().await? > 0 {
            self.number().await?;
        }
        Ok(())
    }

    /// Writes the lines of rows that have to be searched, as the sequencer's expander does; returns for how many expansions.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn search(&self) -> anyhow::Result<usize> {
        let mut client = self.source.connect(Session::Control).await?;
        let transaction = client.transaction().await?;
        let rows = transaction.query("SELECT id FROM lockstep.expansion FOR UPDATE", &[]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let xid: i64 = transaction.query_one("SELECT txid_current()", &[]).await?.get(0);
        for search in expand::statements(&self.set, inbox::inbox_of(xid)) {
            transaction.execute(&search.sql, &[&ids]).await.with_context(|| search.sql.clone())?;
        }
        transaction.execute("DELETE FROM lockstep.expansion WHERE id = ANY($1)", &[&ids]).await?;
        transaction.commit().await?;
        Ok(ids.len())
    }
}

/// A whole sequencer in this process.
pub struct RunningSequencer {
    shutdown: Shutdown,
    sequencer: JoinHandle<Result<(), SequencerError>>,
}

impl RunningSequencer {
    /// Starts one.
    pub fn start(settings: &Settings) -> Self {
        let shutdown = Shutdown::new();
        let sequencer = tokio::spawn(lockstep_sequencer::run(settings.clone(), shutdown.clone()));
        Self { shutdown, sequencer }
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// What it ended with.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.sequencer.await??)
    }
}
