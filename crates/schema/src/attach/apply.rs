//! Doing what was planned.

use std::time::Duration;

use lockstep_core::retry::Backoff;
use tokio_postgres::Client;

use super::plan::{Mode, Step};
use crate::connect::{Session, Source};
use crate::error::SourceError;
use crate::migrations::{Migrations, run};
use crate::sqlstate::SqlStateKind;

/// How often a step that cannot get its lock is tried: with [`LOCK_TIMEOUT`], some minutes.
const LOCK_ATTEMPTS: u32 = 200;
/// How long a table lock is waited for. Applications queue up behind whoever waits: so not longer than they would notice.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '150ms'";
/// One migrate at a time: the bytes of `lockmigr`.
const MIGRATE_LOCK: i64 = i64::from_be_bytes(*b"lockmigr");

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

/// Runs the steps in order. Each is whole or not at all, so a run that ends anywhere is continued by the next.
///
/// # Errors
/// The error of the first step that fails; those before it stay.
pub async fn apply(source: &Source, steps: &[Step], mut tell: impl FnMut(ApplyEvent<'_>)) -> Result<(), SourceError> {
    if steps.is_empty() {
        return Ok(());
    }
    let client = source.connect(Session::Migrate).await?;
    let alone: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&MIGRATE_LOCK]).await?.get(0);
    if !alone {
        return Err(SourceError::Migration(
            "another `lockstep migrate` is running; wait until it has ended".to_owned(),
        ));
    }
    client.batch_execute(LOCK_TIMEOUT).await?;
    for (index, step) in steps.iter().enumerate() {
        tell(ApplyEvent::Begin(index + 1, step));
        match step.mode {
            Mode::ControlMigrations => run(source, Migrations::Control).await?,
            Mode::Alone => {
                // Waiting for older transactions is what CONCURRENTLY does: no lock timeout there.
                client.batch_execute("SET lock_timeout = 0").await?;
                for statement in &step.statements {
                    client.batch_execute(statement).await?;
                }
                client.batch_execute(LOCK_TIMEOUT).await?;
            }
            Mode::Transaction => together(&client, step, &mut tell).await?,
        }
        tell(ApplyEvent::Done(index + 1, step));
    }
    Ok(())
}

/// Whoever waits for a table lock holds up everybody behind: so the wait is short, and repeated.
async fn together(client: &Client, step: &Step, tell: &mut impl FnMut(ApplyEvent<'_>)) -> Result<(), SourceError> {
    let sql = format!("BEGIN;\n{};\nCOMMIT", step.statements.join(";\n"));
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        let Err(error) = client.batch_execute(&sql).await else { return Ok(()) };
        client.batch_execute("ROLLBACK").await?;
        let busy = error.code().is_some_and(|state| SqlStateKind::of(state.code()) == SqlStateKind::Conflict);
        if !busy || backoff.attempts() >= LOCK_ATTEMPTS {
            return Err(error.into());
        }
        tell(ApplyEvent::LockBusy(step, backoff.attempts() + 1));
        tokio::time::sleep(backoff.next_wait()).await;
    }
}
