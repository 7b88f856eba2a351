//! Events: what operators want to be told is written down at its edges, each once, and told as lines of JSON and by webhooks.
//!
//! The truth is in `lockstep.event`. One task writes it, and each sink has one of its own, so that a disk or a receiver that hangs
//! keeps nobody from writing down what happens, and no other sink from being told.

mod lines;
mod signature;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::failpoint;
use lockstep_core::settings::{EventSink, EventsTo, Settings};
use lockstep_core::webhook_secrets::WebhookSecretsError;
use lockstep_schema::tasks::{Driver, Ran, Task};
use lockstep_schema::{Source, SourceError};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use self::lines::append;
use self::webhook::SendEvents;
use crate::metrics;
use crate::plan::events::news;
use crate::storage::events::{EventSession, LIMIT};

/// Also where nobody is told: `lockstep.event` is the record that `lockstep events list` shows, and what begins and ends between two
/// looks is in none. A look is a few statements over tables of few rows; what costs more is looked at less often (`storage/events.rs`).
const EVERY: Duration = Duration::from_secs(2);
/// Lines that are written at a time.
const PAGE: i64 = 100;

/// Why events cannot be told.
#[derive(thiserror::Error, Debug)]
pub(crate) enum TellError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("LS-0516: events cannot be told: {0}")]
    Sink(#[from] std::io::Error),
    #[error("LS-0516: events cannot be told: what was to be written before is not written yet")]
    Hangs,
    #[error("{0}")]
    Secrets(#[from] WebhookSecretsError),
    #[error("LS-0516: events cannot be told: {0}")]
    Webhook(String),
}

/// What tells events, while a sequencer leads.
pub(crate) struct EventTasks {
    settings: Settings,
    /// Held while lines are written, however long that takes: what hangs is not begun again beside it, by a later leadership either.
    writing: Arc<Mutex<()>>,
}

impl EventTasks {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, writing: Arc::default() }
    }

    /// Starts them.
    pub(crate) fn spawn(&self, driver: &Driver, on: &mut JoinSet<()>) {
        let events = &self.settings.events;
        let sinks = events.sinks.iter().map(|sink| sink.name.clone()).collect();
        let tasks = events.sinks.iter().map(task_of).collect();
        driver.spawn(on, Events { sinks, tasks }, Arc::default());
        for sink in &events.sinks {
            match &sink.to {
                EventsTo::Webhook(url) => {
                    driver.spawn(on, SendEvents::new(sink, url, &self.settings), Arc::default());
                }
                to => {
                    let (sink, to, writing) = (sink.name.clone(), to.clone(), Arc::clone(&self.writing));
                    driver.spawn(on, TellEvents { sink, to, writing }, Arc::default());
                }
            }
        }
    }

    /// Whoever leads tells what waits.
    pub(crate) fn forget(&self) {
        self.settings.events.sinks.iter().for_each(|sink| metrics::no_sink(&sink.name));
    }
}

/// What the task that tells a sink is called. A webhook that fails would not be seen behind another that does not.
fn task_of(sink: &EventSink) -> String {
    match sink.to {
        EventsTo::Webhook(_) => format!("{} {}", SendEvents::NAME, sink.name),
        EventsTo::StandardOutput | EventsTo::File(_) => TellEvents::NAME.to_owned(),
    }
}

/// Looks for what is news, and how far the sinks are.
pub(crate) struct Events {
    /// Everybody who is told.
    sinks: Vec<String>,
    /// What the tasks that tell them are called.
    tasks: Vec<String>,
}

impl Task for Events {
    const NAME: &'static str = "events";
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Session = EventSession;
    type Error = SourceError;

    async fn open(&self, source: &Source) -> Result<EventSession, SourceError> {
        metrics::events_dropped(0);
        let mut session = EventSession::open(source).await?;
        session.follow(&self.sinks.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        session.forget_tasks(&self.tasks, (TellEvents::NAME, SendEvents::NAME)).await?;
        Ok(session)
    }

    async fn run(&mut self, _: &Source, session: &mut EventSession) -> Result<Ran, SourceError> {
        let open = session.open_topics().await?;
        let found = news(&open, session.now().await?, LIMIT);
        let written = session.write(&found).await?;
        let did = Ran::did(written.len(), EVERY);
        written.into_iter().for_each(metrics::event);
        if let Some(sinks) = session.sinks().await? {
            sinks.iter().for_each(metrics::sink);
        }
        let forgotten = session.prune().await?;
        metrics::events_dropped(forgotten.untold);
        if forgotten.all > 0 {
            let (all, untold) = (forgotten.all, forgotten.untold);
            tracing::info!(all, untold, "events were forgotten that are old, or too many");
        }
        Ok(did)
    }
}

/// Appends events, each at least once, in the order of their numbers.
struct TellEvents {
    sink: String,
    to: EventsTo,
    writing: Arc<Mutex<()>>,
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
        let due = session.due(&self.sink, PAGE).await?;
        if due.is_empty() {
            return Ok(Ran::did(0, EVERY));
        }
        let turn = Arc::clone(&self.writing).try_lock_owned().map_err(|_| TellError::Hangs)?;
        let lines = due.iter().map(|due| format!("{}\n", due.event)).collect();
        append(self.to.clone(), lines, turn).await?;
        failpoint!("sequencer::events::told", return Err(std::io::Error::other("failpoint").into()));
        let ids: Vec<_> = due.iter().map(|due| due.id).collect();
        session.delivered(&self.sink, &ids).await?;
        Ok(Ran::did(ids.len(), Duration::ZERO))
    }
}
