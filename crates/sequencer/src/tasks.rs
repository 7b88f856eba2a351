//! Periodic work beside the passes: one driver for all of it, and a status of each task in the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::retry::Backoff;
use lockstep_schema::{Source, SourceError, within};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::figures;

/// Work that is done again and again while this sequencer leads. What is not finished is done by the next run, or by the
/// next leader.
pub(crate) trait Task {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// The longest pause between two runs.
    const EVERY: Duration;
    /// A run that takes longer has failed.
    const TIMEOUT: Duration;
    /// What a run leaves for the next. It is dropped when a run fails, or when another sequencer leads.
    type Session;

    async fn open(&self, source: &Source) -> Result<Self::Session, SourceError>;

    /// Returns how many things were done.
    async fn run(&mut self, source: &Source, session: &mut Self::Session) -> Result<usize, SourceError>;
}

/// Runs a task whenever `wake` asks for it, and every so often, until this is dropped.
pub(crate) async fn repeat<T: Task>(mut task: T, source: Source, wake: Arc<Notify>, leading: watch::Receiver<bool>) {
    let mut session = None;
    let mut backoff = Backoff::for_connections();
    loop {
        // Woken or not, it is time.
        let _ = timeout(T::EVERY, wake.notified()).await;
        if !*leading.borrow() {
            session = None;
            continue;
        }
        let began = Instant::now();
        match within(T::TIMEOUT, run_once(&mut task, &source, session.take())).await {
            Ok((open, did)) => {
                session = Some(open);
                backoff.reset();
                figures::task(T::NAME, began.elapsed(), Some(did));
            }
            Err(error) => {
                figures::task(T::NAME, began.elapsed(), None);
                let wait = backoff.next_wait();
                tracing::warn!(task = T::NAME, wait_ms = wait.as_millis(), %error, "a periodic task failed, trying again");
                sleep(wait).await;
                wake.notify_one();
            }
        }
    }
}

async fn run_once<T: Task>(
    task: &mut T,
    source: &Source,
    session: Option<T::Session>,
) -> Result<(T::Session, usize), SourceError> {
    let mut session = match session {
        Some(session) => session,
        None => task.open(source).await?,
    };
    let did = task.run(source, &mut session).await?;
    Ok((session, did))
}
