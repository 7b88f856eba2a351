//! Events: what operators want to be told is written down at its edges, each once, and told as lines of JSON.
//!
//! The truth is in `lockstep.event`. Two tasks, so that a disk that hangs keeps nobody from writing down what happens.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use lockstep_core::failpoint;
use lockstep_core::settings::EventsTo;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Source, SourceError};
use tokio::task::spawn_blocking;

use crate::plan::events::news;
use crate::storage::events::{EventSession, LIMIT};

const EVERY: Duration = Duration::from_secs(2);
/// The sink's name in `lockstep.event_delivery`.
const SINK: &str = "lines";

/// Looks for what is news.
pub(crate) struct Events;

impl Task for Events {
    const NAME: &'static str = "events";
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Session = EventSession;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<EventSession, SourceError> {
        EventSession::open(source).await
    }

    async fn run(&mut self, _: &Source, session: &mut EventSession) -> Result<Ran, SourceError> {
        let open = session.open_topics().await?;
        let found = news(&open, session.now().await?, LIMIT);
        let written = session.write(&found).await?;
        let forgotten = session.prune().await?;
        if forgotten > 0 {
            tracing::info!(forgotten, "events were forgotten that are old, or too many");
        }
        Ok(Ran::did(written, EVERY))
    }
}

/// Tells events, each at least once, in the order of their numbers.
pub(crate) struct TellEvents(pub(crate) EventsTo);

#[derive(thiserror::Error, Debug)]
pub(crate) enum TellError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("LS-0516: events cannot be told: {0}")]
    Sink(#[from] std::io::Error),
    #[error("LS-0516: events cannot be told: {0}")]
    Gone(#[from] tokio::task::JoinError),
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
        if waiting.is_empty() {
            return Ok(Ran::did(0, EVERY));
        }
        let lines: String = waiting.iter().map(|(_, event)| format!("{event}\n")).collect();
        let to = self.0.clone();
        spawn_blocking(move || append(&to, lines.as_bytes())).await??;
        failpoint!("sequencer::events::told", return Err(std::io::Error::other("failpoint").into()));
        let ids: Vec<_> = waiting.iter().map(|(id, _)| *id).collect();
        session.delivered(SINK, &ids).await?;
        Ok(Ran::did(ids.len(), Duration::ZERO))
    }
}

/// The file is opened each time: one that was rotated away is made anew.
fn append(to: &EventsTo, lines: &[u8]) -> std::io::Result<()> {
    match to {
        EventsTo::StandardOutput => {
            let mut output = std::io::stdout().lock();
            output.write_all(lines)?;
            output.flush()
        }
        EventsTo::File(file) => {
            let mut file = OpenOptions::new().append(true).create(true).open(file)?;
            file.write_all(lines)?;
            file.sync_data()
        }
    }
}
