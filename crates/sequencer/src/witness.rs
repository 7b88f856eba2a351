//! The witness: a source that was restored to an earlier state does not know it; what was made of its lost changes does
//! (SRC-1).
//!
//! Numbers only grow, and no cursor and no version in ClickHouse is above the last one that was given out. Where one is, the
//! source has forgotten numbers that it gave out. Giving them out again would lose rows: cursors have passed them, and
//! stale versions would win. So before the first number on any server the witness is asked.

use std::time::Duration;

use lockstep_core::MappingName;
use lockstep_destinations::clickhouse::Timeouts;
use lockstep_destinations::{ClickHouse, DestinationError};
use lockstep_mappings::MappingSet;
use lockstep_schema::identity::{ServerRun, last_sequence, server_run};
use tokio_postgres::Client;

use crate::error::SequencerError;

/// For the highest number of a table: one column of it is read. Shorter than a poll may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Asks ClickHouse how far it has come.
pub(crate) struct Witness {
    clickhouse: ClickHouse,
    mappings: Vec<MappingName>,
    /// For whom it has spoken. A server that runs goes back only where a dump is loaded into it, which passes that are gone
    /// show.
    vouched: Option<ServerRun>,
}

impl Witness {
    pub(crate) fn new(clickhouse: ClickHouse, set: &MappingSet) -> Self {
        let timeouts = Timeouts { statement: ANSWER_TIMEOUT, ..clickhouse.timeouts() };
        let mappings = set.iter().map(|mapping| mapping.name.clone()).collect();
        Self { clickhouse: clickhouse.with_timeouts(timeouts), mappings, vouched: None }
    }

    /// The next server is looked at, whether it is known or not.
    pub(crate) fn forget(&mut self) {
        self.vouched = None;
    }

    /// Returns when numbers may be given out over this connection.
    ///
    /// # Errors
    /// [`SequencerError::SourceWentBack`] when they may not, others when that is not known.
    pub(crate) async fn vouch_for(&mut self, client: &Client) -> Result<(), SequencerError> {
        let run = server_run(client).await?;
        if self.vouched.as_ref() == Some(&run) {
            return Ok(());
        }
        // Before the source is asked: what is numbered and shipped in between must not look like being ahead.
        let marks = self.clickhouse.marks(&self.mappings).await.map_err(SequencerError::Unwitnessed)?;
        let source_at = last_sequence(client).await?;
        if marks.highest() > source_at {
            return Err(SequencerError::SourceWentBack { source_at, destination: marks.highest() });
        }
        self.remember(&run).await.map_err(SequencerError::Unwitnessed)?;
        self.vouched = Some(run);
        Ok(())
    }

    /// Writes down which source it is, where that is new.
    async fn remember(&self, run: &ServerRun) -> Result<(), DestinationError> {
        let before = self.clickhouse.last_source().await?;
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
        self.clickhouse.write_source(&run.identity).await
    }
}
