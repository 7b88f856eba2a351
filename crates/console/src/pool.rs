//! A few connections that pages share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::Deployment;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::answer::Refusal;

/// Connections at the same time.
const AT_ONCE: usize = 4;
/// How long a page waits for its turn and its connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one kind: those that only read, or those that may write.
pub(crate) struct Pool {
    settings: &'static Settings,
    mappings: &'static MappingSet,
    turns: Semaphore,
    idle: Mutex<Vec<Deployment<'static>>>,
}

/// A connection that somebody has.
pub(crate) struct Lent<'a> {
    pool: &'a Pool,
    pub(crate) deployment: Deployment<'static>,
    _turn: SemaphorePermit<'a>,
}

impl Pool {
    pub(crate) fn new(settings: &'static Settings, mappings: &'static MappingSet) -> Self {
        Self { settings, mappings, turns: Semaphore::new(AT_ONCE), idle: Mutex::default() }
    }

    /// Lends a connection, a new one where none is idle.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or others keep all connections for too long.
    pub(crate) async fn lend(&self) -> Result<Lent<'_>, Refusal> {
        let lent = async {
            let turn = self.turns.acquire().await.map_err(|_| Refusal::Busy)?;
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let idle = idle.filter(|deployment| !deployment.is_closed());
            let deployment = match idle {
                Some(deployment) => deployment,
                None => Deployment::connect(self.settings, self.mappings).await?,
            };
            Ok(Lent { pool: self, deployment, _turn: turn })
        };
        timeout(PATIENCE, lent).await.map_err(|_| Refusal::Busy)?
    }
}

impl Lent<'_> {
    /// Gives it back after it was used well. One that failed is dropped instead: it may be broken.
    pub(crate) fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.deployment);
    }
}
