//! What all visits share: the source, memory, and how tenants' databases are reached.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use lockstep_core::DestinationId;
use lockstep_core::secret_keys::{Holder, KeyRing};
use lockstep_core::settings::{DestinationSettings, DestinationTls};
use lockstep_destinations::postgres::{ConnectionString, Network, Postgres};
use lockstep_schema::{Session, Source, SourceError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use super::trouble::Trouble;
use crate::limits::Limits;
use crate::mappings::Mappings;
use crate::pauses::KnownPauses;
use crate::storage::tenants::Registered;
use crate::storage::{FetchSession, FetchSessions, LeasedSession};

/// Connections to the source over which changes for tenants' databases are read, beside the stream's own.
const READS_AT_ONCE: usize = 4;
/// What all pages hold in memory together at most, in KiB.
const MEMORY_KIB: u32 = 64 * 1024;
/// For one statement about the registry.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Context {
    pub(super) source: Source,
    pub(super) sessions: FetchSessions,
    pub(super) mappings: Arc<Mappings>,
    pub(super) limits: Limits,
    pub(super) pauses: KnownPauses,
    network: Arc<Network>,
    tls: DestinationTls,
    key_file: Option<PathBuf>,
    memory: Arc<Semaphore>,
    control: Mutex<Option<Arc<Client>>>,
    /// Destinations whose tables this process has looked at, each with the revision that it knew, and when.
    prepared: std::sync::Mutex<HashMap<Uuid, (i64, Instant)>>,
}

impl Context {
    pub(super) fn new(
        source: Source,
        mappings: Arc<Mappings>,
        limits: Limits,
        pauses: KnownPauses,
        network: Network,
        settings: &DestinationSettings,
    ) -> Self {
        Self {
            source,
            sessions: FetchSessions::new(READS_AT_ONCE),
            mappings,
            limits,
            pauses,
            network: Arc::new(network),
            tls: settings.tls,
            key_file: settings.secret_key_file.clone(),
            memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)),
            control: Mutex::default(),
            prepared: std::sync::Mutex::default(),
        }
    }

    /// The connection to the registry, which all visits share: it holds their claims.
    pub(super) async fn control(&self) -> Result<Arc<Client>, SourceError> {
        let mut control = self.control.lock().await;
        if let Some(client) = control.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client = self.source.connect(Session::Control).await?;
        client.batch_execute("SET synchronous_commit = off").await?;
        let client = Arc::new(client);
        *control = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Waits for a session to read the source over.
    pub(super) async fn session(&self) -> Result<LeasedSession, SourceError> {
        let place = self.sessions.place().await;
        let session = match place.left() {
            Some(session) => session,
            None => FetchSession::open(&self.source).await?,
        };
        Ok(place.take(session))
    }

    /// Asks the registry something.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let asking = async { question(&*self.control().await?).await };
        timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(SourceError::Timeout(ANSWER_TIMEOUT)))
    }

    /// Waits for memory that a page of so many bytes takes.
    pub(super) async fn memory(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(MEMORY_KIB);
        // Nobody closes the semaphore.
        Arc::clone(&self.memory).acquire_many_owned(kib).await.ok()
    }

    /// The destination behind a row of the registry. Connects to nothing.
    pub(super) fn destination(&self, row: &Registered) -> Result<Postgres, Trouble> {
        let id = DestinationId::tenant(row.id);
        const NO_FILE: &str =
            "LS-0224: LOCKSTEP_SECRET_KEY_FILE is not set, without which its connection string cannot be read";
        let file = self.key_file.as_deref().ok_or_else(|| Trouble::Keys(NO_FILE.to_owned()))?;
        let keys = KeyRing::load(file).map_err(|error| Trouble::Keys(format!("LS-0225: {error}")))?;
        let holder = Holder { destination: row.id, tenancy: row.tenancy };
        let text = keys.open(&row.sealed, holder).map_err(|error| Trouble::Keys(error.to_string()))?;
        let connection =
            ConnectionString::parse(&text, self.tls).map_err(|error| Trouble::Connection(error.to_string()))?;
        Ok(Postgres::new(id, row.tenancy, connection, Arc::clone(&self.network)))
    }

    /// Whether this process has looked at the tables of a destination as the registry has it now, and not long ago.
    pub(super) fn is_prepared(&self, row: &Registered) -> bool {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.get(&row.id).is_some_and(|(revision, looked)| {
            *revision == row.revision && looked.elapsed() < self.limits.tenant_tables_look_every
        })
    }

    /// It has looked at them, or has to look at them again.
    pub(super) fn set_prepared(&self, row: &Registered, is_prepared: bool) {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if is_prepared {
            prepared.insert(row.id, (row.revision, Instant::now()));
        } else {
            prepared.remove(&row.id);
        }
    }
}
