//! Works off expansions, beside the passes: a tenancy with many millions of rows holds nobody up.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::retry::Backoff;
use lockstep_mappings::MappingSet;
use lockstep_schema::{Source, SourceError};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::announce::Bell;
use crate::storage::expansions::ExpansionSession;

/// Those of a leader that died are nobody's to ring for.
const EVERY: Duration = Duration::from_secs(1);

/// Works while this sequencer leads. Two may work side by side: each takes expansions that the other does not hold.
pub(crate) struct Expander {
    source: Source,
    mappings: Arc<MappingSet>,
    bell: Bell,
    leading: watch::Receiver<bool>,
}

impl Expander {
    pub(crate) const fn new(
        source: Source,
        mappings: Arc<MappingSet>,
        bell: Bell,
        leading: watch::Receiver<bool>,
    ) -> Self {
        Self { source, mappings, bell, leading }
    }

    /// Works until it is dropped: what was not committed then is done by the next.
    pub(crate) async fn run(self) {
        let mut session = None;
        let mut backoff = Backoff::for_connections();
        loop {
            let _ = timeout(EVERY, self.bell.rung()).await;
            if !*self.leading.borrow() {
                session = None;
                continue;
            }
            match self.work_off(session.take()).await {
                Ok(open) => {
                    session = Some(open);
                    backoff.reset();
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "rows that depend on others cannot be searched, trying again");
                    sleep(wait).await;
                }
            }
        }
    }

    async fn work_off(&self, session: Option<ExpansionSession>) -> Result<ExpansionSession, SourceError> {
        let session = match session {
            Some(session) => session,
            None => ExpansionSession::open(&self.source, Arc::clone(&self.mappings)).await?,
        };
        while session.work_off().await? > 0 {}
        Ok(session)
    }
}
