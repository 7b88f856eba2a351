//! Advisory locks of the source database.

use tokio_postgres::Client;

use crate::error::SourceError;

/// Puts passes in order (SEQ-1): every transaction that numbers changes holds it, as a transaction-level lock, from before
/// its first number to its commit. The bytes of `lockstep`.
pub const ORDERING_LOCK: i64 = i64::from_be_bytes(*b"lockstep");
/// Held by the session of the sequencer that leads (SEQ-2). The bytes of `lockseqr`.
pub const LEADER_LOCK: i64 = i64::from_be_bytes(*b"lockseqr");

/// Held by the session of the worker that ends fills, and by `lockstep migrate` while it makes a table anew that one of them fills.
/// The bytes of `lockfill`.
pub const FILL_LOCK: i64 = i64::from_be_bytes(*b"lockfill");

/// An expression: whether a sequencer leads.
pub fn leads() -> String {
    format!(
        "EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid::bigint = {LEADER_LOCK}::bigint >> 32 AND l.objid::bigint = {LEADER_LOCK}::bigint & 4294967295)"
    )
}

/// A session-level lock for work that one process at a time does. It is held from the moment it was taken for as long as the
/// connection lives.
#[derive(Debug)]
pub struct SessionLock {
    key: i64,
    is_held: bool,
}

impl SessionLock {
    /// Not taken yet.
    pub const fn new(key: i64) -> Self {
        Self { key, is_held: false }
    }

    /// Returns whether this connection holds it, and takes it where nobody does.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn try_take(&mut self, client: &Client) -> Result<bool, SourceError> {
        if !self.is_held {
            self.is_held = client.query_one("SELECT pg_try_advisory_lock($1)", &[&self.key]).await?.try_get(0)?;
        }
        Ok(self.is_held)
    }

    /// Lets it go where it is held, for another connection to take.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub async fn give_up(&mut self, client: &Client) -> Result<(), SourceError> {
        if std::mem::take(&mut self.is_held) {
            client.query_one("SELECT pg_advisory_unlock($1)", &[&self.key]).await?;
        }
        Ok(())
    }
}
