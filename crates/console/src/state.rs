//! What all pages share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use tokio::sync::{Notify, watch};

use crate::actions::Jobs;
use crate::options::Options;
use crate::pool::Pool;
use crate::sample::{Checks, Sample};
use crate::sign_in::SignIn;
use crate::tokens::{FormKey, LinkKey};

/// Browsers that are sent changes at the same time.
const VIEWERS: usize = 50;
/// Where a page finds a sample that is older, the next is taken at once.
const OLD: Duration = Duration::from_secs(3);

/// What all pages share.
pub(crate) struct Console {
    pub(crate) options: Options,
    /// Of sessions in which Postgres refuses every write.
    pub(crate) reading: &'static Settings,
    pub(crate) mappings: &'static MappingSet,
    pub(crate) readers: Pool,
    /// For actions; nothing is connected where they are not allowed.
    pub(crate) writers: Pool,
    pub(crate) samples: watch::Receiver<Arc<Sample>>,
    pub(crate) checks: watch::Sender<Option<Arc<Checks>>>,
    pub(crate) watched: Watched,
    pub(crate) form_key: FormKey,
    /// Where a password is asked for.
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) link_key: Option<LinkKey>,
    pub(crate) jobs: Arc<Jobs>,
}

impl Console {
    /// What was seen last, with its time beside it. No page waits for another: it is sent what changes.
    pub(crate) fn sample(&self) -> Arc<Sample> {
        self.watched.page();
        let sample = self.samples.borrow().clone();
        if sample.taken_at.elapsed().is_ok_and(|age| age > OLD) {
            self.watched.wake();
        }
        sample
    }
}

/// Whether somebody watches.
pub(crate) struct Watched {
    viewers: AtomicUsize,
    began: Instant,
    /// Milliseconds from `began` until pages count as forgotten.
    until_ms: AtomicU64,
    wake: Notify,
}

/// A browser that is sent changes, until this is dropped.
pub(crate) struct Viewer(Arc<Console>);

impl Watched {
    /// A page that was opened, and is not sent changes, counts for so long.
    pub(crate) const REMEMBERED: Duration = Duration::from_secs(10);

    pub(crate) fn new() -> Self {
        Self { viewers: AtomicUsize::new(0), began: Instant::now(), until_ms: AtomicU64::new(0), wake: Notify::new() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0 || self.now_ms() < self.until_ms.load(Ordering::Relaxed)
    }

    fn page(&self) {
        let until = self.now_ms() + u64::try_from(Self::REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        self.until_ms.fetch_max(until, Ordering::Relaxed);
    }

    /// Has a sample taken now.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl Viewer {
    /// One more, or `None` where there are enough.
    pub(crate) fn enter(console: &Arc<Console>) -> Option<Self> {
        let viewers = &console.watched.viewers;
        let one_more = |count| (count < VIEWERS).then_some(count + 1);
        viewers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        console.watched.wake();
        Some(Self(Arc::clone(console)))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.watched.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}
