//! Periodic work: one driver for all of it. What each task did is in the metrics, and in `lockstep.task`, which
//! `lockstep status` shows.

mod status;

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_core::shutdown::{Shutdown, finish_in_time};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub(crate) use self::status::open_to_note;
use self::status::{Statuses, Writer};
pub use self::status::{TaskStatus, statuses};
use crate::connect::Source;
use crate::error::SourceError;

/// How long a task may take to sign off: a database that is away does not hold up the end of a program.
pub const SIGN_OFF_TIMEOUT: Duration = Duration::from_secs(2);

/// Work that a program does again and again. It carries no truth: what is not finished is done by the next run, or by
/// another process.
pub trait Task: Send + 'static {
    /// What it is called in logs, metrics and `lockstep.task`, unless there are several of it.
    const NAME: &'static str;
    /// A run that takes longer has failed.
    const TIMEOUT: Duration;
    /// What a run leaves for the next. It is dropped when a run fails.
    type Session: Send;
    /// Why a run fails. Its text holds no values of rows.
    type Error: Display + From<SourceError> + Send;

    /// Its name: where there are several of a kind in a program, each has one of its own, out of what is configured.
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    /// How long a run may go on after the signal to stop.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens what the runs need.
    ///
    /// # Errors
    /// When that fails; it is tried again.
    fn open(&self, source: &Source) -> impl Future<Output = Result<Self::Session, Self::Error>> + Send;

    /// Does what is due.
    ///
    /// # Errors
    /// When that fails; the session is dropped, and the next run comes after a growing wait.
    fn run(
        &mut self,
        source: &Source,
        session: &mut Self::Session,
    ) -> impl Future<Output = Result<Ran, Self::Error>> + Send;

    /// Runs once when the program stops in good order. It is given up after [`SIGN_OFF_TIMEOUT`].
    ///
    /// # Errors
    /// When that fails; it is logged, and the program ends.
    fn sign_off(&mut self, session: &mut Self::Session) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = session;
        async { Ok(()) }
    }
}

/// A run that has not failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ran {
    what: What,
    /// The longest pause before the next.
    next_in: Duration,
}

/// What a run did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Did(usize),
    Untold,
    LeftToAnother,
    Waits(&'static str),
}

impl Ran {
    /// It has looked, and did so many things.
    pub const fn did(things: usize, next_in: Duration) -> Self {
        Self { what: What::Did(things), next_in }
    }

    /// It has done what it always does, of which nobody is told, unless the run before has failed.
    pub const fn untold(next_in: Duration) -> Self {
        Self { what: What::Untold, next_in }
    }

    /// Another process does it, and tells how that goes: its status stays.
    pub const fn left_to_another(next_in: Duration) -> Self {
        Self { what: What::LeftToAnother, next_in }
    }

    /// It was not tried on purpose, and why: whether a failure before is over nobody knows.
    pub const fn waits(why: &'static str, next_in: Duration) -> Self {
        Self { what: What::Waits(why), next_in }
    }
}

/// Runs the tasks of one program.
#[derive(Clone)]
pub struct Driver {
    source: Source,
    /// Where the program looks for its services: told with what fails.
    health: Health,
    statuses: Statuses,
    stop: Shutdown,
}

impl Driver {
    /// Runs tasks until `stop`, or until the set `on` which they are is dropped, and writes their statuses.
    pub fn new(program: &'static str, source: Source, health: &Health, stop: Shutdown, on: &mut JoinSet<()>) -> Self {
        let driver = Self { health: health.clone(), ..Self::without_statuses(source, stop) };
        driver.spawn(on, Writer::new(program, driver.statuses.clone()), Arc::default());
        driver
    }

    /// Runs tasks until `stop` whose statuses are not written: those are not known to other programs.
    pub fn without_statuses(source: Source, stop: Shutdown) -> Self {
        status::describe();
        Self { source, health: Health::default(), statuses: Statuses::default(), stop }
    }

    /// Runs a task at once, then whenever `wake` asks for it, and as often as it says itself.
    pub fn spawn<T: Task>(&self, on: &mut JoinSet<()>, task: T, wake: Arc<Notify>) {
        on.spawn(self.clone().repeat(task, wake));
    }

    async fn repeat<T: Task>(self, mut task: T, wake: Arc<Notify>) {
        let (mut session, mut backoff, name) = (None, Backoff::for_connections(), task.name());
        let mut has_failed = false;
        while !self.stop.is_cancelled() {
            let (began, grace) = (Instant::now(), task.grace());
            let running = timeout(T::TIMEOUT, run_once(&mut task, &self.source, session.take()));
            let Some(ran) = finish_in_time(&self.stop, grace, running).await else { return };
            let took = began.elapsed();
            let failed = match ran {
                Ok(Ok((open, ran))) => {
                    session = Some(open);
                    backoff.reset();
                    match ran.what {
                        What::Did(did) => self.statuses.ran(&name, took, did),
                        What::Untold if has_failed => self.statuses.ran(&name, took, 0),
                        What::Untold | What::LeftToAnother => {}
                        What::Waits(why) => self.statuses.waits(&name, why),
                    }
                    has_failed = false;
                    self.stop.run_until_cancelled(timeout(ran.next_in, wake.notified())).await;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("LS-0025: it was not done within {} s", T::TIMEOUT.as_secs()),
            };
            let wait = backoff.next_wait();
            tracing::warn!(
                task = name,
                wait_ms = wait.as_millis(),
                error = failed,
                "a periodic task failed, trying again"
            );
            self.statuses.failed(&name, took, self.health.told(&failed));
            has_failed = true;
            self.stop.run_until_cancelled(sleep(wait)).await;
        }
        if let Some(mut session) = session {
            match timeout(SIGN_OFF_TIMEOUT, task.sign_off(&mut session)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(task = name, error = error.to_string(), "a periodic task could not sign off")
                }
                Err(_) => tracing::warn!(task = name, "a periodic task did not sign off in time"),
            }
        }
    }
}

async fn run_once<T: Task>(
    task: &mut T,
    source: &Source,
    session: Option<T::Session>,
) -> Result<(T::Session, Ran), T::Error> {
    let mut session = match session {
        Some(session) => session,
        None => task.open(source).await?,
    };
    let ran = task.run(source, &mut session).await?;
    Ok((session, ran))
}
