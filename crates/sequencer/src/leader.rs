//! One sequencer leads (SEQ-2). Leadership is for efficiency: if two ever believed to lead, SEQ-1 alone keeps the data right.

use std::time::Duration;

use lockstep_core::health::Health;
use lockstep_core::retry::Backoff;
use lockstep_schema::{Source, SourceError, within};
use tokio::time::sleep;

use crate::storage::leadership::LeaderLock;

/// How often a stand-by tries.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How often the leader makes sure that it still leads.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// A server that does not answer such a small question within this time is gone, as far as leading is concerned.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// For a server to be reached and to answer. Opening a connection has a limit of its own, which is shorter.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Stands by until it can lead, for as long as that takes.
///
/// Cancel-safe: the connection ends, and the lock with it.
pub(crate) async fn campaign(source: &Source, health: &Health) -> LeaderLock {
    let mut backoff = Backoff::for_connections();
    loop {
        match stand_by(source, health, &mut backoff).await {
            Ok(lock) => return lock,
            Err(error) => {
                let wait = backoff.next_wait();
                let wait_ms = wait.as_millis();
                tracing::warn!(attempt = backoff.attempts(), wait_ms, %error, "cannot reach Postgres, trying again");
                health.not_ready("source", error.to_string());
                sleep(wait).await;
            }
        }
    }
}

/// Stands by on one connection, until it leads or the connection fails.
async fn stand_by(source: &Source, health: &Health, backoff: &mut Backoff) -> Result<LeaderLock, SourceError> {
    let lock = within(OPEN_TIMEOUT, LeaderLock::open(source)).await?;
    let mut is_told = false;
    while !within(ANSWER_TIMEOUT, lock.try_take()).await? {
        backoff.reset();
        health.ready("source");
        health.ready("leader");
        if !is_told {
            tracing::info!("standing by: another sequencer leads");
            is_told = true;
        }
        sleep(TRY_EVERY).await;
    }
    tracing::info!("leading: changes are numbered from here");
    health.ready("leader");
    Ok(lock)
}

/// Returns when the lock is lost, with the reason.
///
/// Cancel-safe.
pub(crate) async fn lost(lock: &LeaderLock) -> String {
    loop {
        sleep(CHECK_EVERY).await;
        match within(ANSWER_TIMEOUT, lock.is_held()).await {
            Ok(true) => {}
            Ok(false) => return "the connection no longer holds the lock".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

/// Lets a stand-by take over at once.
pub(crate) async fn release(lock: LeaderLock) {
    // A server that is gone has released the lock already, or will.
    let _ = within(ANSWER_TIMEOUT, lock.release()).await;
}
