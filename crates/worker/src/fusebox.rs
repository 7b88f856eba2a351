//! The fuses as this worker knows them: read twice a second, shared by all its parts.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::Shutdown;
use lockstep_schema::Source;
use lockstep_schema::fuses::Fuses;
use tokio::sync::watch;
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
        self.wait_for(|fuses| !fuses.stop_shipping_to(&DESTINATION.into())).await
    }

    /// As [`Fusebox::go`], and no tenancy is stopped.
    ///
    /// Cancel-safe.
    pub(crate) async fn go_for_all_tenancies(&mut self) -> Arc<Fuses> {
        self.wait_for(|fuses| !fuses.stop_shipping_to(&DESTINATION.into()) && !fuses.stop_some_tenancy()).await
    }

    /// Returns when something was let go on since that was the count.
    ///
    /// Cancel-safe.
    pub(crate) async fn mended_since(&mut self, mended: i64) {
        self.wait_for(|fuses| fuses.mended != mended).await;
    }

    async fn wait_for(&mut self, condition: impl Fn(&Fuses) -> bool) -> Arc<Fuses> {
        let known = self.0.wait_for(|fuses| fuses.as_ref().is_some_and(|fuses| condition(fuses))).await;
        let fuses = known.ok().and_then(|fuses| fuses.clone());
        match fuses {
            Some(fuses) => fuses,
            // Nobody watches any more: the worker ends.
            None => std::future::pending().await,
        }
    }
}

/// The box, and what keeps it up to date until `shutdown`. While Postgres is away the last state stays: then nothing is
/// read from it either.
pub(crate) fn watch_fuses(source: Source, shutdown: Shutdown) -> (Fusebox, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(None);
    let watching = async move {
        shutdown.run_until_cancelled(keep(source, &sender)).await;
    };
    (Fusebox(receiver), watching)
}

async fn keep(source: Source, sender: &watch::Sender<Option<Arc<Fuses>>>) {
    let mut backoff = Backoff::new(READ_EVERY / 5, 2 * READ_EVERY);
    let mut connection = SideConnection::new(source);
    loop {
        match connection.ask(ANSWER_TIMEOUT, async |client| Fuses::read(client).await).await {
            Ok(fuses) => {
                backoff.reset();
                tell(sender, fuses);
                sleep(READ_EVERY).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the fuses cannot be read, trying again");
                sleep(backoff.next_wait()).await;
            }
        }
    }
}

fn tell(sender: &watch::Sender<Option<Arc<Fuses>>>, fuses: Fuses) {
    let changed = sender.borrow().as_deref().is_none_or(|known| *known != fuses);
    if changed {
        let stopped = fuses.stop_shipping_to(&DESTINATION.into());
        let (some_stopped, mended) = (fuses.stop_something(), fuses.mended);
        tracing::info!(stopped, some_stopped, mended, "the fusebox says what goes");
        sender.send_replace(Some(Arc::new(fuses)));
    }
}
