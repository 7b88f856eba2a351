//! Doing what was planned.

use std::time::Duration;

use lockstep_core::retry::Backoff;
use tokio_postgres::{Client, Row};

use super::plan::{Mode, Step};
use crate::connect::{Session, Source};
use crate::error::SourceError;
use crate::migrations::{Migrations, run};
use crate::sqlstate::SqlStateKind;

/// How often a step that cannot get its lock is tried: with [`LOCK_TIMEOUT`] and the waits between, some minutes.
const LOCK_ATTEMPTS: u32 = 200;
/// How long a table lock is waited for. Applications queue up behind whoever waits: so not longer than they would notice.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '100ms'";
/// While an attempt waits, who is in its way is asked by then.
const ASK_AFTER: Duration = Duration::from_millis(40);
/// One migrate at a time: the bytes of `lockmigr`.
const MIGRATE_LOCK: i64 = i64::from_be_bytes(*b"lockmigr");

/// Who holds what the process `$1` waits for. A prepared transaction has no process: its number is 0.
const HOLDERS: &str = "
SELECT b.pid, COALESCE(a.application_name, ''), COALESCE(a.state, 'of a state that only its owner may see'), COALESCE(extract(epoch FROM now() - a.xact_start)::bigint, 0)
FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) b LEFT JOIN pg_stat_activity a USING (pid) ORDER BY b.pid LIMIT 5";

/// What [`apply`] tells while it works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplyEvent<'a> {
    /// A step begins: its number, counted from 1, and the step.
    Begin(usize, &'a Step),
    /// A table is in use by a transaction of somebody else; the step is tried again.
    LockBusy(&'a Step, u32),
    /// A step is done.
    Done(usize, &'a Step),
}

/// The one that applies steps: while it lives, no other does.
pub struct Applying {
    source: Source,
    client: Client,
    /// Of the client.
    process: i32,
    attempts: u32,
    done: usize,
}

/// Runs the steps in order. Each is whole or not at all, so a run that ends anywhere is continued by the next.
///
/// # Errors
/// When Postgres refuses something, a table stays locked by somebody else, or another `lockstep migrate` is running. What was
/// done before stays.
pub async fn apply(source: &Source, steps: &[Step], tell: impl FnMut(ApplyEvent<'_>)) -> Result<(), SourceError> {
    if steps.is_empty() {
        return Ok(());
    }
    let steps: Vec<_> = steps.iter().collect();
    Applying::begin(source).await?.run(&steps, tell).await
}

impl Applying {
    /// Connects, and becomes the one.
    ///
    /// # Errors
    /// When another is, or Postgres cannot be reached.
    pub async fn begin(source: &Source) -> Result<Self, SourceError> {
        let client = source.connect(Session::Migrate).await?;
        let alone: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&MIGRATE_LOCK]).await?.get(0);
        if !alone {
            return Err(SourceError::Migration(
                "another `lockstep migrate` is running; wait until it has ended".to_owned(),
            ));
        }
        client.batch_execute(LOCK_TIMEOUT).await?;
        let process = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        Ok(Self { source: source.clone(), client, process, attempts: LOCK_ATTEMPTS, done: 0 })
    }

    /// The same with so many attempts at each lock.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Runs some more steps, in order.
    ///
    /// # Errors
    /// As [`apply`].
    pub async fn run(&mut self, steps: &[&Step], mut tell: impl FnMut(ApplyEvent<'_>)) -> Result<(), SourceError> {
        for &step in steps {
            self.done += 1;
            tell(ApplyEvent::Begin(self.done, step));
            match step.mode {
                Mode::ControlMigrations => run(&self.source, Migrations::Control).await?,
                Mode::Alone => {
                    // Waiting for older transactions is what CONCURRENTLY does: no lock timeout there.
                    self.client.batch_execute("SET lock_timeout = 0").await?;
                    for statement in &step.statements {
                        self.client.batch_execute(statement).await?;
                    }
                    self.client.batch_execute(LOCK_TIMEOUT).await?;
                }
                Mode::Transaction => self.together(step, &mut tell).await?,
            }
            tell(ApplyEvent::Done(self.done, step));
        }
        Ok(())
    }

    /// Whoever waits for a table lock holds up everybody behind: so the wait is short, and repeated.
    async fn together(&self, step: &Step, tell: &mut impl FnMut(ApplyEvent<'_>)) -> Result<(), SourceError> {
        let sql = format!("BEGIN;\n{};\nCOMMIT", step.statements.join(";\n"));
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut watch: Option<Client> = None;
        let mut holders = Vec::new();
        loop {
            let attempt = match &watch {
                None => self.attempt(&sql).await?,
                Some(other) => {
                    let (attempt, seen) = tokio::join!(self.attempt(&sql), self.holders(other));
                    // On a slow server the question may come after the attempt: then what was seen before still stands.
                    holders = Some(seen?).filter(|seen| !seen.is_empty()).unwrap_or(holders);
                    attempt?
                }
            };
            match attempt {
                Attempt::Done => return Ok(()),
                Attempt::Busy if backoff.attempts() + 1 >= self.attempts => {
                    return Err(SourceError::LockHeld { what: step.what.clone(), holders });
                }
                Attempt::Busy => {
                    tell(ApplyEvent::LockBusy(step, backoff.attempts() + 1));
                    if watch.is_none() {
                        watch = Some(self.source.connect(Session::Control).await?);
                    }
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    async fn attempt(&self, sql: &str) -> Result<Attempt, SourceError> {
        let Err(error) = self.client.batch_execute(sql).await else { return Ok(Attempt::Done) };
        self.client.batch_execute("ROLLBACK").await?;
        let is_busy = error.code().is_some_and(|state| SqlStateKind::of(state.code()) == SqlStateKind::Conflict);
        if is_busy { Ok(Attempt::Busy) } else { Err(error.into()) }
    }

    /// Who is in the way of an attempt that goes on meanwhile; empty when it has ended before the question.
    async fn holders(&self, other: &Client) -> Result<Vec<String>, SourceError> {
        tokio::time::sleep(ASK_AFTER).await;
        other.query(HOLDERS, &[&self.process]).await?.iter().map(holder).collect()
    }
}

/// What one attempt came to.
enum Attempt {
    Done,
    Busy,
}

fn holder(row: &Row) -> Result<String, SourceError> {
    let (process, application): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    let (state, age_s): (&str, i64) = (row.try_get(2)?, row.try_get(3)?);
    Ok(match process {
        0 => "a prepared transaction (see pg_prepared_xacts)".to_owned(),
        _ => format!("process {process} ({application:?}), {state}, for {age_s} s"),
    })
}
