//! The guard against a source that was restored to an earlier state: it does not know it, what was made of its lost
//! changes does (SRC-1).
//!
//! Numbers only grow, and no cursor and no version in a destination is above the last one that was given out. Where one is,
//! the source has forgotten numbers that it gave out. Giving them out again would lose rows: cursors have passed them, and
//! stale versions would win. So before the first number on any server the platform's own destinations are asked.

use lockstep_core::MappingName;
use lockstep_destinations::{DestinationError, HighWater};
use lockstep_mappings::MappingSet;
use lockstep_schema::identity::{ServerRun, last_sequence, server_run};
use tokio_postgres::Client;

use crate::error::SequencerError;

/// Asks a destination how far it has come.
pub(crate) struct RewindGuard {
    destination: Box<dyn HighWater>,
    mappings: Vec<MappingName>,
    /// The server that was found to have lost nothing. While it runs it goes back only where a dump is loaded into it, which
    /// passes that are gone show.
    verified: Option<ServerRun>,
}

impl RewindGuard {
    pub(crate) fn new(destination: impl HighWater + 'static, set: &MappingSet) -> Self {
        let mappings = set.iter().map(|mapping| mapping.name.clone()).collect();
        Self { destination: Box::new(destination), mappings, verified: None }
    }

    /// The next server is checked, whether it is known or not.
    pub(crate) fn forget(&mut self) {
        self.verified = None;
    }

    /// Returns when numbers may be given out over this connection.
    ///
    /// # Errors
    /// [`SequencerError::SourceWentBack`] when they may not, others when that is not known.
    pub(crate) async fn check(&mut self, client: &Client) -> Result<(), SequencerError> {
        let run = server_run(client).await?;
        if self.verified.as_ref() == Some(&run) {
            return Ok(());
        }
        // Before the source is asked: what is numbered and shipped in between must not look like being ahead.
        let marks = self.destination.marks(&self.mappings).await.map_err(SequencerError::RewindUnchecked)?;
        let source_at = last_sequence(client).await?;
        if let Some(went_back) = marks.beyond(source_at) {
            return Err(SequencerError::SourceWentBack(went_back));
        }
        self.remember(&run).await.map_err(SequencerError::RewindUnchecked)?;
        self.verified = Some(run);
        Ok(())
    }

    /// Writes down which source it is, where that is new.
    async fn remember(&self, run: &ServerRun) -> Result<(), DestinationError> {
        let before = self.destination.last_source().await?;
        if before.as_ref() == Some(&run.identity) {
            return Ok(());
        }
        if let Some(before) = before {
            tracing::warn!(
                %before,
                now = %run.identity,
                "LS-0512: the source is another server or timeline than before, but has lost nothing that was shipped"
            );
        }
        self.destination.write_source(&run.identity).await
    }
}
