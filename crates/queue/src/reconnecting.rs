//! A session with the broker that is opened again whenever it breaks, for as long as it takes.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use tokio::task::JoinHandle;

use crate::endpoint::Endpoint;
use crate::error::QueueError;

/// What [`Health`] calls the broker.
const HEALTH_PART: &str = "queue";

/// A session that broke sooner than this after it was opened does not start the waits anew: a broker that accepts
/// connections and drops them at once is not to be hammered.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// A connection with its channel, ready for one kind of work.
pub(crate) trait Session: Sized + Send + 'static {
    /// What is needed to open it.
    type Plan: Clone + Send + Sync + 'static;

    /// Where the broker is.
    fn endpoint(plan: &Self::Plan) -> &Endpoint;

    /// One attempt, limited in time.
    fn open(plan: &Self::Plan) -> impl Future<Output = Result<Self, QueueError>> + Send;

    /// Why it cannot be used any more, as far as is known.
    fn broken(&self) -> Option<&'static str>;
}

/// One session that is replaced whenever it breaks.
pub(crate) struct Reconnecting<S: Session> {
    plan: S::Plan,
    health: Option<Health>,
    backoff: Backoff,
    /// Whether a session was ever open: until then, refused access is a wrong setting and not a restart.
    opened_before: bool,
    state: State<S>,
}

enum State<S> {
    Away,
    /// In a task of its own, so that a caller who gives up waiting does not undo what was achieved.
    Opening(JoinHandle<(Backoff, Result<S, QueueError>)>),
    Open {
        session: S,
        since: Instant,
    },
}

impl<S: Session> Reconnecting<S> {
    /// Nothing is opened before it is asked for.
    pub(crate) const fn new(plan: S::Plan) -> Self {
        Self { plan, health: None, backoff: Backoff::for_connections(), opened_before: false, state: State::Away }
    }

    /// Reports to `health` from now on.
    pub(crate) fn report_to(&mut self, health: Health) {
        match self.current() {
            Some(_) => health.ready(HEALTH_PART),
            None => health.not_ready(HEALTH_PART, "not connected yet"),
        }
        self.health = Some(health);
    }

    /// The session, if one is open at the moment.
    pub(crate) fn current(&mut self) -> Option<&mut S> {
        match &mut self.state {
            State::Open { session, .. } if session.broken().is_none() => Some(session),
            _ => None,
        }
    }

    /// The session, even if it broke or was left in the middle of something.
    pub(crate) const fn last(&self) -> Option<&S> {
        match &self.state {
            State::Open { session, .. } => Some(session),
            _ => None,
        }
    }

    /// The session; waits until there is one.
    ///
    /// Cancel-safe: opening goes on without the caller.
    ///
    /// # Errors
    /// Only what waiting does not mend.
    pub(crate) async fn ready(&mut self) -> Result<&mut S, QueueError> {
        loop {
            match &mut self.state {
                State::Open { session, .. } => match session.broken() {
                    Some(why) => self.lost(&why),
                    None => break,
                },
                State::Away => self.begin(Duration::ZERO),
                State::Opening(task) => match task.await {
                    Ok((backoff, outcome)) => {
                        self.backoff = backoff;
                        self.state = State::Away;
                        self.state = State::Open { session: outcome?, since: Instant::now() };
                        self.opened_before = true;
                    }
                    Err(ended) => {
                        self.state = State::Away;
                        return Err(S::endpoint(&self.plan).unreachable(&ended));
                    }
                },
            }
        }
        let State::Open { session, .. } = &mut self.state else { unreachable!("the loop ends when it is open") };
        Ok(session)
    }

    /// The session broke: drops it and starts to open another.
    pub(crate) fn lost(&mut self, why: &dyn Display) {
        let connection = S::endpoint(&self.plan).connection_name;
        tracing::warn!(connection, error = %why, "lost the connection to RabbitMQ");
        if let Some(health) = &self.health {
            health.not_ready(HEALTH_PART, why.to_string());
        }
        let stable = matches!(&self.state, State::Open { since, .. } if since.elapsed() >= STABLE_AFTER);
        if stable {
            self.backoff.reset();
        }
        let wait = if stable { Duration::ZERO } else { self.backoff.next_wait() };
        self.begin(wait);
    }

    fn begin(&mut self, wait: Duration) {
        let opening = Opening::<S> {
            plan: self.plan.clone(),
            health: self.health.clone(),
            backoff: self.backoff.clone(),
            again: self.opened_before,
        };
        self.state = State::Opening(tokio::spawn(opening.run(wait)));
    }

    /// Takes the session out, to close it.
    pub(crate) fn into_session(mut self) -> Option<S> {
        self.release()
    }

    /// Takes the session out, to close it. Another one is opened when it is asked for.
    pub(crate) fn release(&mut self) -> Option<S> {
        match std::mem::replace(&mut self.state, State::Away) {
            State::Open { session, .. } => Some(session),
            State::Opening(task) => {
                task.abort();
                None
            }
            State::Away => None,
        }
    }
}

impl<S: Session> Drop for Reconnecting<S> {
    fn drop(&mut self) {
        if let State::Opening(task) = &self.state {
            task.abort();
        }
    }
}

/// Opening one session, with everything the task needs.
struct Opening<S: Session> {
    plan: S::Plan,
    health: Option<Health>,
    backoff: Backoff,
    again: bool,
}

impl<S: Session> Opening<S> {
    async fn run(mut self, wait: Duration) -> (Backoff, Result<S, QueueError>) {
        tokio::time::sleep(wait).await;
        let mut failures = 0_u32;
        loop {
            let error = match S::open(&self.plan).await {
                Ok(session) => {
                    self.say_opened(failures);
                    return (self.backoff, Ok(session));
                }
                Err(error) => error,
            };
            let may_heal = if self.again { error.may_heal() } else { error.is_retryable() };
            if !may_heal {
                return (self.backoff, Err(error));
            }
            failures = failures.saturating_add(1);
            let wait = self.backoff.next_wait();
            let (connection, wait_ms) = (S::endpoint(&self.plan).connection_name, wait.as_millis());
            tracing::warn!(connection, attempt = failures, wait_ms, %error, "cannot connect to RabbitMQ, trying again");
            if let Some(health) = &self.health {
                health.not_ready(HEALTH_PART, error.to_string());
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn say_opened(&self, failures: u32) {
        let connection = S::endpoint(&self.plan).connection_name;
        if self.again {
            tracing::info!(connection, failures, "connected to RabbitMQ again");
        } else {
            tracing::info!(connection, failures, "connected to RabbitMQ");
        }
        if let Some(health) = &self.health {
            health.ready(HEALTH_PART);
        }
    }
}
