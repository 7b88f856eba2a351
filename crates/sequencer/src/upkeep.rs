//! Upkeep, once a second where this sequencer leads: who else stamps, what was left in the outbox, what can be deleted.

use std::time::{Duration, Instant};

use lockstep_schema::{Source, SourceError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::announce::Bell;
use crate::figures;
use crate::storage::upkeep::UpkeepSession;

const EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const ROUND_TIMEOUT: Duration = Duration::from_secs(40);

/// Looks after Lockstep's own tables.
pub(crate) struct Upkeep {
    source: Source,
    bell: Bell,
    leading: watch::Receiver<bool>,
    session: Option<UpkeepSession>,
    last_foreign_stamp: Option<i64>,
    pruned: Option<Instant>,
}

impl Upkeep {
    pub(crate) const fn new(source: Source, bell: Bell, leading: watch::Receiver<bool>) -> Self {
        Self { source, bell, leading, session: None, last_foreign_stamp: None, pruned: None }
    }

    /// Works until it is dropped. What fails is done a second later: nothing here is urgent, and the stamping says
    /// loudly enough when the source is away.
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
        let session = match session {
            Some(session) => session,
            None => UpkeepSession::open(&self.source).await?,
        };
        self.look_for_foreign_stamps(&session).await?;
        let depth = session.outbox_depth().await?;
        figures::outbox_depth(depth);
        if depth > 0 {
            // Usually they are on their way. Those of a leader that died are not.
            self.bell.ring();
        }
        if self.pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE_EVERY) {
            session.prune().await?;
            self.pruned = Some(Instant::now());
        }
        Ok(session)
    }

    async fn look_for_foreign_stamps(&mut self, session: &UpkeepSession) -> Result<(), SourceError> {
        for found in session.foreign_stamps(self.last_foreign_stamp).await? {
            tracing::warn!(
                table = found.table_name,
                application = found.application_name,
                transactions = found.transactions,
                "LS-0506: another system stamps rows of this table; its numbers are replaced, but stop it: two systems \
                 that stamp cost twice the work, and its own readers miss rows"
            );
            self.last_foreign_stamp = self.last_foreign_stamp.max(Some(found.last_id));
        }
        Ok(())
    }
}
