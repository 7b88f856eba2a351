//! The sweep: looks at every tenancy now and then, and announces those with news that nobody announced: rows that were
//! stamped before Lockstep came, and messages that were lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::{Cursors, Destination, Selection};
use lockstep_queue::Publisher;
use lockstep_schema::Source;
use lockstep_schema::fuses::Fuses;
use uuid::Uuid;

use crate::error::ShipError;
use crate::fusebox::{Fusebox, SEEN_BY_ALL};
use crate::limits::Limits;
use crate::pace::jittered;
use crate::plan::News;
use crate::routes::Routes;
use crate::storage::tenancies::SweepSession;

/// After each page a sweep rests this many times as long as the page took: a small load, however many tenancies.
const REST: u32 = 10;
/// A page that takes longer has failed.
const PAGE_TIMEOUT: Duration = Duration::from_secs(300);
/// Tenancies and mappings whose cursors are remembered from one sweep to the next: 10 MB at most.
const MAX_REMEMBERED: usize = 100_000;

/// From so many looks on, a cursor that is stuck is announced at every so-manieth.
const SELDOM: u32 = 32;

/// Cursors that were behind: where they stood, and at how many looks in a row they stood there.
type Behind = HashMap<(TenancyId, usize), (SequenceId, u32)>;

/// The sweeps of one worker. One worker sweeps; another takes over when its connection is gone.
pub(crate) struct Sweep<D> {
    source: Source,
    destination: D,
    routes: Arc<Routes>,
    publisher: Arc<Publisher>,
    limits: Limits,
    session: Option<SweepSession>,
    /// From the sweep before; none before the first.
    before: Option<Behind>,
    fusebox: Fusebox,
    /// How often anything had been let go on when this worker last looked.
    mended: Option<i64>,
}

/// Why a sweep was not finished.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Ship(#[from] ShipError),
    #[error(transparent)]
    Queue(#[from] lockstep_queue::QueueError),
    #[error("LS-0409: a page of the sweep was not done within {} s", PAGE_TIMEOUT.as_secs())]
    Timeout,
}

/// At how many looks in a row, this one included, the cursor stood where it stands.
fn looks(before: Option<&Behind>, pair: (TenancyId, usize), cursor: SequenceId) -> u32 {
    match before.and_then(|before| before.get(&pair)) {
        Some((at, looks)) if *at == cursor => looks.saturating_add(1),
        _ => 1,
    }
}

/// Whether a cursor that is behind is worth a message. At a first look it is not: its message may be on its way, and one
/// that moves belongs to a tenancy whose pages are being shipped; a second message would ship them twice. One that stays
/// stuck is announced ever more seldom: its messages may be failing, and lie with the dead letters.
const fn is_due(looks: u32) -> bool {
    looks > 1 && (looks.is_power_of_two() || looks.is_multiple_of(SELDOM))
}

impl<D: Destination + Clone + 'static> Sweep<D> {
    pub(crate) const fn new(
        source: Source,
        destination: D,
        routes: Arc<Routes>,
        publisher: Arc<Publisher>,
        limits: Limits,
        fusebox: Fusebox,
    ) -> Self {
        Self { source, destination, routes, publisher, limits, session: None, before: None, fusebox, mended: None }
    }

    /// Sweeps until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::for_connections();
        while let Some(fuses) = shutdown.run_until_cancelled(self.fusebox.go()).await {
            if self.mended.replace(fuses.mended).is_some_and(|mended| mended != fuses.mended) {
                // News were passed over that nobody announces any more: everything that is behind is announced.
                self.before = None;
                if shutdown.run_until_cancelled(tokio::time::sleep(SEEN_BY_ALL)).await.is_none() {
                    return;
                }
            }
            let Some(swept) = shutdown.run_until_cancelled(self.sweep(&fuses)).await else { return };
            let wait = match swept {
                Ok(()) => {
                    backoff.reset();
                    jittered(self.limits.sweep_every)
                }
                Err(error) => {
                    self.session = None;
                    let wait = backoff.next_wait();
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "a sweep was not finished, trying again");
                    wait
                }
            };
            let mended = self.fusebox.mended_since(fuses.mended);
            if shutdown.run_until_cancelled(tokio::time::timeout(wait, mended)).await.is_none() {
                return;
            }
        }
    }

    /// Looks at every tenancy once, if it is this worker that sweeps.
    async fn sweep(&mut self, fuses: &Fuses) -> Result<(), SweepError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => SweepSession::open(&self.source, &self.routes).await.map_err(ShipError::from)?,
        };
        if session.lead().await.map_err(ShipError::from)? {
            let mut behind = Behind::new();
            let mut from = Some(Uuid::nil());
            let mut announced = 0;
            while let Some(first) = from {
                let started = Instant::now();
                let page = tokio::time::timeout(PAGE_TIMEOUT, self.page(&session, fuses, first, &mut behind)).await;
                let (news, next) = page.map_err(|_| SweepError::Timeout)??;
                if !news.is_empty() {
                    announced += news.len();
                    self.publisher.publish(&[news.to_batch(&self.routes)]).await?;
                }
                from = next;
                if from.is_some() && self.before.is_some() {
                    tokio::time::sleep(started.elapsed() * REST).await;
                }
            }
            session.look_through_quarantine(&self.routes).await.map_err(ShipError::from)?;
            if announced > 0 {
                tracing::info!(tenancies = announced, "a sweep found news that nobody had announced");
            }
            self.before = Some(behind);
        }
        self.session = Some(session);
        Ok(())
    }

    /// Looks at tenancies from `first` on; returns what is to be announced, and where the next page begins.
    async fn page(
        &self,
        session: &SweepSession,
        fuses: &Fuses,
        first: Uuid,
        behind: &mut Behind,
    ) -> Result<(News, Option<Uuid>), ShipError> {
        let limit = self.limits.sweep_page_tenancies;
        let (tenancies, head) = session.tenancies(first, limit).await?;
        let names = self.routes.names();
        let cursors = self.destination.cursors(Selection::These(&tenancies), Selection::These(&names)).await?;
        let mut news = News::default();
        for (place, name) in names.iter().enumerate() {
            let at: Vec<_> = tenancies.iter().map(|tenancy| cursor_of(&cursors, *tenancy, name).get()).collect();
            for tenancy in session.behind(place, &tenancies, &at, head).await? {
                if self.routes.are_stopped(fuses, tenancy, place) {
                    continue;
                }
                let pair = (tenancy, place);
                let cursor = cursor_of(&cursors, tenancy, name);
                let looks = looks(self.before.as_ref(), pair, cursor);
                // At the very first sweep nothing is known of what is on its way.
                if self.before.is_none() || behind.len() >= MAX_REMEMBERED || is_due(looks) {
                    news.add(tenancy, [place]);
                }
                if behind.len() < MAX_REMEMBERED {
                    behind.insert(pair, (cursor, looks));
                }
            }
        }
        news.raise_all(head);
        let is_last = tenancies.len() < limit as usize;
        let last = tenancies.last().filter(|_| !is_last);
        // Ids are compared byte by byte, as numbers are.
        let next = last.and_then(|last| last.as_uuid().as_u128().checked_add(1)).map(Uuid::from_u128);
        Ok((news, next))
    }
}

fn cursor_of(cursors: &Cursors, tenancy: TenancyId, name: &MappingName) -> SequenceId {
    cursors.get(&(tenancy, name.clone())).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_moves_is_left_to_those_who_move_it() {
        let pair = (TenancyId::new(Uuid::from_u128(1)), 3);
        let at = SequenceId::new(7);
        assert_eq!(looks(None, pair, at), 1);
        assert_eq!(looks(Some(&Behind::new()), pair, at), 1);
        assert_eq!(looks(Some(&Behind::from([(pair, (SequenceId::new(6), 5))])), pair, at), 1, "it moved");
        assert_eq!(looks(Some(&Behind::from([(pair, (at, 5))])), pair, at), 6);
    }

    #[test]
    fn a_cursor_that_stays_stuck_is_announced_ever_more_seldom() {
        let due: Vec<_> = (1..100).filter(|looks| is_due(*looks)).collect();
        assert_eq!(due, [2, 4, 8, 16, 32, 64, 96]);
    }
}
