//! Upkeep, where this sequencer leads: indexes of the inboxes, what can be emptied, dropped and forgotten.

use std::time::{Duration, Instant};

use lockstep_schema::{Source, SourceError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::announce::Bell;
use crate::figures;
use crate::storage::upkeep::UpkeepSession;

const EVERY: Duration = Duration::from_millis(250);
const TRUNCATE_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const ROUND_TIMEOUT: Duration = Duration::from_secs(40);

/// Looks after Lockstep's own tables.
pub(crate) struct Upkeep {
    source: Source,
    bell: Bell,
    leading: watch::Receiver<bool>,
    session: Option<UpkeepSession>,
    truncated: Option<Instant>,
    pruned: Option<Instant>,
}

impl Upkeep {
    pub(crate) const fn new(source: Source, bell: Bell, leading: watch::Receiver<bool>) -> Self {
        Self { source, bell, leading, session: None, truncated: None, pruned: None }
    }

    /// Works until it is dropped. What fails is done at the next round: nothing here is urgent, and the passes say loudly
    /// enough when the source is away.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !*self.leading.borrow() {
                self.session = None;
                continue;
            }
            let session = self.session.take();
            match timeout(ROUND_TIMEOUT, self.round(session)).await {
                Ok(Ok(session)) => self.session = Some(session),
                Ok(Err(error)) => tracing::debug!(%error, "upkeep failed"),
                Err(_) => tracing::debug!("upkeep took too long"),
            }
        }
    }

    async fn round(&mut self, session: Option<UpkeepSession>) -> Result<UpkeepSession, SourceError> {
        let mut session = match session {
            Some(session) => session,
            None => UpkeepSession::open(&self.source).await?,
        };
        session.cover().await?;
        if is_due(&mut self.truncated, TRUNCATE_EVERY) {
            session.truncate().await?;
            let depth = session.unannounced().await?;
            figures::unannounced(depth);
            if depth > 0 {
                // Usually they are on their way. Those of a leader that died are not.
                self.bell.ring();
            }
        }
        if is_due(&mut self.pruned, PRUNE_EVERY) {
            session.prune().await?;
            session.drop_changes().await?;
        }
        Ok(session)
    }
}

/// Whether it was not done for so long; then it is taken for done now.
fn is_due(done: &mut Option<Instant>, every: Duration) -> bool {
    let is_due = done.is_none_or(|done| done.elapsed() >= every);
    if is_due {
        *done = Some(Instant::now());
    }
    is_due
}
