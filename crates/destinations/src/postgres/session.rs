//! The one connection that the clones of a destination share, and transactions on it.

use std::time::{Duration, Instant};

use lockstep_mappings::tenant::{self, Limits};
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::Postgres;
use super::connection::{Answer, Session, Trouble, open};
use super::failure::Doing;
use crate::error::DestinationError;

/// Where the connection is while nobody uses it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    idle: Option<(Session, Instant)>,
}

impl Slot {
    /// Returns whether there is no connection now.
    pub(super) fn close_idle(&mut self, idle: Duration) -> bool {
        self.idle.take_if(|(_, since)| since.elapsed() >= idle);
        self.idle.is_none()
    }
}

/// A connection in use. Unless it is put back, it is closed: whoever drops it in the middle of something leaves it in a state
/// that nobody knows.
struct Lease<'a> {
    slot: MutexGuard<'a, Slot>,
    session: Session,
}

impl Lease<'_> {
    fn put_back(mut self) {
        if !self.session.allowance.is_used_up() {
            self.slot.idle = Some((self.session, Instant::now()));
        }
    }
}

impl Postgres {
    async fn lease(&self) -> Result<Lease<'_>, DestinationError> {
        let inner = &self.inner;
        let mut slot = inner.slot.lock().await;
        let session = match slot.idle.take() {
            Some((session, _)) if !session.is_closed() => session,
            _ => self.connect().await?,
        };
        Ok(Lease { slot, session })
    }

    /// A connection of its own.
    pub(super) async fn connect(&self) -> Result<Session, DestinationError> {
        open(&self.inner.id, &self.inner.connection, &self.inner.network, self.inner.timeouts).await
    }

    pub(super) fn limits(&self) -> Limits {
        let timeouts = self.inner.timeouts;
        Limits { statement: timeouts.statement, lock: timeouts.statement / 3, idle: timeouts.whole }
    }

    /// Does something on the connection within `limit`. `work` ends the transactions that it begins, except where it fails.
    pub(super) async fn with_session<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        limit: Duration,
        work: impl FnOnce(Session) -> F,
    ) -> Result<T, Trouble> {
        let working = async {
            let lease = self.lease().await?;
            let done = work(lease.session.clone()).await;
            match &done {
                Ok(_) => lease.put_back(),
                Err(trouble) if trouble.is_of_statement => {
                    if lease.session.run(&["ROLLBACK".to_owned()], Doing::Other).await.is_ok() {
                        lease.put_back();
                    }
                }
                Err(_) => {}
            }
            done
        };
        match timeout(limit, working).await {
            Ok(done) => done,
            Err(_) => Err(DestinationError::unanswered(self.inner.id.clone()).into()),
        }
    }

    /// Runs statements in one transaction, and in one round trip. Returns what each has answered.
    pub(super) async fn transaction(&self, statements: &[String]) -> Result<Vec<Answer>, Trouble> {
        self.with_session(self.inner.timeouts.whole, async |session| self.transaction_on(&session, statements).await)
            .await
    }

    /// As [`Postgres::transaction`], on a connection that is in use.
    pub(super) async fn transaction_on(
        &self,
        session: &Session,
        statements: &[String],
    ) -> Result<Vec<Answer>, Trouble> {
        let mut all = vec![tenant::begin(self.limits())];
        all.extend_from_slice(statements);
        all.push("COMMIT".to_owned());
        let mut answers = session.run(&all, Doing::Other).await?;
        answers.pop();
        self.last(answers, statements.len())
    }

    /// Begins a transaction in which statements are run, and leaves it open.
    pub(super) async fn begin_on(&self, session: &Session, statements: &[String]) -> Result<Vec<Answer>, Trouble> {
        let mut all = vec![tenant::begin(self.limits())];
        all.extend_from_slice(statements);
        let answers = session.run(&all, Doing::Other).await?;
        self.last(answers, statements.len())
    }

    /// The answers to the statements behind those that begin the transaction.
    fn last(&self, mut answers: Vec<Answer>, count: usize) -> Result<Vec<Answer>, Trouble> {
        match answers.len().checked_sub(count) {
            Some(before) => Ok(answers.split_off(before)),
            None => Err(self.odd_answer().into()),
        }
    }

    /// It answered what no server answers.
    pub(super) fn odd_answer(&self) -> DestinationError {
        self.error(crate::error::Failure::Unexpected, "its answer is none to what was asked")
    }
}
