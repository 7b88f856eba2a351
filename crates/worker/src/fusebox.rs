//! The fuses as this worker knows them: read twice a second, shared by all its parts.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_schema::Source;
use lockstep_schema::fuses::Fuses;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::flush::DESTINATION;
use crate::storage::SideConnection;

/// Half of what an operator may wait for a fuse to take effect.
const READ_EVERY: Duration = Duration::from_millis(500);
/// By then every worker has seen what this one has seen just now, and passes no more news over for a fuse that is on again.
pub(crate) const SEEN_BY_ALL: Duration = Duration::from_millis(1_500);
/// For a connection to be opened, or fuses to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// One part's view of the fuses. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Fusebox(watch::Receiver<Option<Arc<Fuses>>>);

impl Fusebox {
    /// Returns when shipping is not stopped, with the fuses at that moment: at once, if so. Nothing goes before the fuses
    /// were read for the first time.
    ///
    /// Cancel-safe.
    pub(crate) async fn go(&mut self) -> Arc<Fuses> {
        let goes = |fuses: &Fuses| !fuses.stop_shipping_to(&DESTINATION.into());
        let known = self.0.wait_for(|fuses| fuses.as_deref().is_some_and(goes)).await;
        let fuses = known.ok().and_then(|fuses| fuses.clone());
        match fuses {
            Some(fuses) => fuses,
            // Nobody watches any more: the worker ends.
            None => std::future::pending().await,
        }
    }

    /// The fuses, where shipping is not stopped at the moment.
    pub(crate) fn go_now(&self) -> Option<Arc<Fuses>> {
        self.0.borrow().clone().filter(|fuses| !fuses.stop_shipping_to(&DESTINATION.into()))
    }
}

/// The box, and what keeps it up to date until `shutdown`; that wakes `mended` whenever something was let go on. While Postgres
/// is away the last state stays: then nothing is read from it either.
pub(crate) fn watch_fuses(
    source: Source,
    mended: Arc<Notify>,
    shutdown: Shutdown,
) -> (Fusebox, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(None);
    let watching = async move {
        shutdown.run_until_cancelled(keep(source, &sender, &mended)).await;
    };
    (Fusebox(receiver), watching)
}

async fn keep(source: Source, sender: &watch::Sender<Option<Arc<Fuses>>>, mended: &Notify) {
    let mut backoff = Backoff::new(READ_EVERY / 5, 2 * READ_EVERY);
    let mut connection = SideConnection::new(source);
    loop {
        match connection.ask(ANSWER_TIMEOUT, async |client| Fuses::read(client).await).await {
            Ok(fuses) => {
                backoff.reset();
                tell(sender, fuses, mended);
                sleep(READ_EVERY).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the fuses cannot be read, trying again");
                sleep(backoff.next_wait()).await;
            }
        }
    }
}

fn tell(sender: &watch::Sender<Option<Arc<Fuses>>>, fuses: Fuses, mended: &Notify) {
    let changed = sender.borrow().as_deref().is_none_or(|known| *known != fuses);
    if changed {
        let stopped = fuses.stop_shipping_to(&DESTINATION.into());
        let (some_stopped, times) = (fuses.stop_something(), fuses.mended);
        tracing::info!(stopped, some_stopped, mended = times, "the fusebox says what goes");
        if sender.send_replace(Some(Arc::new(fuses))).is_none_or(|before| before.mended != times) {
            mended.notify_one();
        }
    }
}
