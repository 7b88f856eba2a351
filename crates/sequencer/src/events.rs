//! Events: what operators want to be told is written down at its edges, each once, and told as lines of JSON.
//!
//! The truth is in `lockstep.event`. Two tasks, so that a disk that hangs keeps nobody from writing down what happens.

mod lines;

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::failpoint;
use lockstep_core::settings::EventsTo;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};
use tokio::sync::Mutex;

use self::lines::append;
use crate::metrics;
use crate::plan::events::news;
use crate::storage::events::{EventSession, LIMIT};

const EVERY: Duration = Duration::from_secs(2);
/// The sink's name in `lockstep.event_sink` and in metrics.
pub(crate) const SINK: &str = "lines";

/// Looks for what is news.
pub(crate) struct Events {
    /// Whether anybody is told.
    pub(crate) are_told: bool,
}

impl Task for Events {
    const NAME: &'static str = "events";
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Session = EventSession;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<EventSession, SourceError> {
        metrics::events_dropped(0);
        let session = EventSession::open(source).await?;
        session.follow(if self.are_told { &[SINK] } else { &[] }).await?;
        Ok(session)
    }

    async fn run(&mut self, _: &Source, session: &mut EventSession) -> Result<Ran, SourceError> {
        let open = session.open_topics().await?;
        let found = news(&open, session.now().await?, LIMIT);
        let written = session.write(&found).await?;
        let did = Ran::did(written.len(), EVERY);
        written.into_iter().for_each(metrics::event);
        let forgotten = session.prune().await?;
        metrics::events_dropped(forgotten.untold);
        if forgotten.all > 0 {
            let (all, untold) = (forgotten.all, forgotten.untold);
            tracing::info!(all, untold, "events were forgotten that are old, or too many");
        }
        Ok(did)
    }
}

/// Tells events, each at least once, in the order of their numbers.
#[derive(Clone)]
pub(crate) struct TellEvents {
    to: EventsTo,
    /// Held while lines are written, however long that takes: what hangs is not begun again beside it.
    writing: Arc<Mutex<()>>,
}

#[derive(thiserror::Error, Debug)]
pub(crate) enum TellError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("LS-0516: events cannot be told: {0}")]
    Sink(#[from] std::io::Error),
    #[error("LS-0516: events cannot be told: what was to be written before is not written yet")]
    Hangs,
}

impl TellEvents {
    pub(crate) fn new(to: EventsTo) -> Self {
        Self { to, writing: Arc::default() }
    }
}

impl Task for TellEvents {
    const NAME: &'static str = "tell events";
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Session = EventSession;
    type Error = TellError;

    async fn open(&self, source: &Source) -> Result<EventSession, TellError> {
        Ok(EventSession::open(source).await?)
    }

    async fn run(&mut self, _: &Source, session: &mut EventSession) -> Result<Ran, TellError> {
        let waiting = session.waiting(SINK).await?;
        metrics::events_waiting(SINK, waiting.all);
        if waiting.page.is_empty() {
            return Ok(Ran::did(0, EVERY));
        }
        let turn = Arc::clone(&self.writing).try_lock_owned().map_err(|_| TellError::Hangs)?;
        let lines = waiting.page.iter().map(|(_, event)| format!("{event}\n")).collect();
        append(self.to.clone(), lines, turn).await?;
        failpoint!("sequencer::events::told", return Err(std::io::Error::other("failpoint").into()));
        let ids: Vec<_> = waiting.page.iter().map(|(id, _)| *id).collect();
        session.delivered(SINK, &ids).await?;
        Ok(Ran::did(ids.len(), Duration::ZERO))
    }
}
