//! Upkeep: indexes of the inboxes, what can be emptied, dropped and forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::freshness::{self, Stage};
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};
use tokio::sync::Notify;

use crate::metrics;
use crate::storage::upkeep::UpkeepSession;

const EVERY: Duration = Duration::from_millis(250);
const TRUNCATE_EVERY: Duration = Duration::from_secs(1);
/// How often it tells what operators have asked for.
const TELL_EVERY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Looks after Lockstep's own tables.
pub(crate) struct Upkeep {
    /// Wakes the announcer.
    announcing: Arc<Notify>,
    truncated: Option<Instant>,
    told: Option<Instant>,
    pruned: Option<Instant>,
}

impl Upkeep {
    pub(crate) const fn new(announcing: Arc<Notify>) -> Self {
        Self { announcing, truncated: None, told: None, pruned: None }
    }
}

impl Task for Upkeep {
    const NAME: &'static str = "upkeep";
    const TIMEOUT: Duration = Duration::from_secs(40);
    type Session = UpkeepSession;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<UpkeepSession, SourceError> {
        UpkeepSession::open(source).await
    }

    async fn run(&mut self, _: &Source, session: &mut UpkeepSession) -> Result<Ran, SourceError> {
        let mut did = 0;
        session.cover().await?;
        if is_due(&mut self.truncated, TRUNCATE_EVERY) {
            did += usize::from(session.truncate().await?);
            let depth = session.unannounced().await?;
            metrics::set(metrics::UNANNOUNCED, depth);
            let oldest = session.oldest(depth > 0).await?;
            freshness::oldest_news(Stage::Outbox, oldest.unannounced);
            freshness::oldest_news(Stage::Expansion, oldest.expansion);
            if depth > 0 {
                // Usually they are on their way. Those of a leader that died are not.
                self.announcing.notify_one();
            }
        }
        if is_due(&mut self.told, TELL_EVERY) {
            metrics::paused_parts(&session.paused_parts().await?);
            metrics::erasures(session.erasures().await?);
        }
        if is_due(&mut self.pruned, PRUNE_EVERY) {
            metrics::verifications(&session.verifications().await?);
            session.prune().await?;
            did += usize::from(session.drop_changes().await?);
        }
        Ok(Ran::did(did, EVERY))
    }
}

/// Whether it was not done for so long; then it is taken for done now.
pub(crate) fn is_due(done: &mut Option<Instant>, every: Duration) -> bool {
    let is_due = done.is_none_or(|done| done.elapsed() >= every);
    if is_due {
        *done = Some(Instant::now());
    }
    is_due
}
