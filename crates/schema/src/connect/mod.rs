//! Connections to the source database, each set up for what it is used for.

mod tls;
mod url;

use std::path::Path;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use lockstep_core::secret::SecretUrl;
use tokio_postgres::tls::{MakeTlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::SourceError;

/// A connection is given up when it cannot be opened within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that has not acknowledged what was sent for this long is gone.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection is used for; decides its session settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Session {
    /// Small statements on Lockstep's own tables.
    Control,
    /// The sequencer's stamping transactions. Plans stay with indexes and TID lookups: a plan that turns into a
    /// sequential scan costs more than it saves (measured: 52,000 rows/s against 43,000).
    Stamping,
    /// Reading news: a page is read in the order of an index, never sorted. Pages cost nothing to the planner, so that it
    /// takes the index with the fewest rows: for a few large tenancies it would else walk the unique index on the
    /// sequence alone, through everybody's rows.
    Fetch,
    /// Reading whole tables: snapshot ranges and comparisons.
    Scan,
    /// Data definition. Locks are not waited for long: applications queue up behind whoever waits for a table lock.
    Migrate,
}

impl Session {
    const fn settings(self) -> &'static str {
        match self {
            Self::Control => "SET statement_timeout = '30s'; SET lock_timeout = '10s';",
            Self::Stamping => {
                "SET statement_timeout = '60s'; SET lock_timeout = '30s'; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
            }
            Self::Fetch => {
                "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0; SET seq_page_cost = 0; SET random_page_cost = 0;"
            }
            Self::Scan => "",
            Self::Migrate => "SET lock_timeout = '3s';",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Control => "lockstep control",
            Self::Stamping => "lockstep sequencer",
            Self::Fetch => "lockstep fetch",
            Self::Scan => "lockstep scan",
            Self::Migrate => "lockstep migrate",
        }
    }
}

/// Times are UTC in every session. JIT costs more than whole reads of ours take. Idle transactions end: a session that
/// hangs must not hold back vacuum for ever.
const EVERY_SESSION: &str = "SET timezone = 'UTC'; SET jit = off; SET idle_in_transaction_session_timeout = '10min'; SET standard_conforming_strings = on; SET extra_float_digits = 1;";

/// How to reach the source database.
#[derive(Clone)]
pub struct Source {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl Source {
    /// Takes a `postgres://` URL. `sslmode` and `sslrootcert` mean what they mean to libpq; `tls_ca_file` is trusted
    /// beside the system's authorities. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SourceError::Url`] or [`SourceError::Tls`] when the settings cannot be used.
    pub fn new(url: &SecretUrl, tls_ca_file: Option<&Path>) -> Result<Self, SourceError> {
        let parsed = url::parse(url.expose(), tls_ca_file)?;
        let mut config = parsed.config;
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(20))
            .tcp_user_timeout(TCP_USER_TIMEOUT);
        Ok(Self { config, tls: tls::connector(parsed.verify, parsed.ca_file.as_deref())? })
    }

    /// Opens a connection for streaming and plain statements.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn connect(&self, session: Session) -> Result<Client, SourceError> {
        match &self.tls {
            Some(tls) => self.open(session, tls.clone()).await,
            None => self.open(session, NoTls).await,
        }
    }

    async fn open<T>(&self, session: Session, tls: T) -> Result<Client, SourceError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: TlsStream + Unpin + Send + 'static,
    {
        let (client, connection) = self.named(session).connect(tls).await?;
        tokio::spawn(async move {
            // Whoever uses the client sees the error too; this says it where nobody was waiting for an answer.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to Postgres ended");
            }
        });
        client.batch_execute(&format!("{EVERY_SESSION}{}", session.settings())).await?;
        Ok(client)
    }

    /// Asks Postgres to give up what this client waits for. The answer to that is an error, if it comes in time.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub async fn cancel(&self, client: &Client) -> Result<(), SourceError> {
        let token = client.cancel_token();
        match &self.tls {
            Some(tls) => token.cancel_query(tls.clone()).await?,
            None => token.cancel_query(NoTls).await?,
        }
        Ok(())
    }

    /// Opens a connection for Diesel.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn connect_diesel(&self, session: Session) -> Result<AsyncPgConnection, SourceError> {
        match &self.tls {
            Some(tls) => self.open_diesel(session, tls.clone()).await,
            None => self.open_diesel(session, NoTls).await,
        }
    }

    async fn open_diesel<T>(&self, session: Session, tls: T) -> Result<AsyncPgConnection, SourceError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: TlsStream + Unpin + Send + 'static,
    {
        use diesel_async::SimpleAsyncConnection;
        let (client, connection) = self.named(session).connect(tls).await?;
        let mut diesel = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
        diesel.batch_execute(&format!("{EVERY_SESSION}{}", session.settings())).await?;
        Ok(diesel)
    }

    fn named(&self, session: Session) -> Config {
        let mut config = self.config.clone();
        config.application_name(session.name());
        config
    }
}
