//! Connections to the source database, each set up for what it is used for.

mod parameters;
mod pooler;
mod session;
mod tls;
mod url;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::Settings;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::pooler::PoolerSign;
use self::pooler::{ASK, Asker, ORDER, sign_in};
pub use self::session::Session;
use crate::error::{SourceError, within};

/// The name of the connections that look for a pooler, as `pg_stat_activity` shows it.
const LOOKING: &str = "lockstep look";
/// How long finding out about a pooler may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long Postgres may take to let somebody in and to take the settings of a session. Of a server that hangs nothing else says
/// so soon.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection for typed reads and writes of Lockstep's own tables.
pub type Control = AsyncPgConnection;

/// How to reach the source database.
#[derive(Clone)]
pub struct Source {
    config: Config,
    tls: MakeRustlsConnect,
    /// Filled once it is known that no pooler changes sessions in between; shared by all clones.
    direct: Arc<OnceCell<()>>,
    /// Whether Postgres refuses every write of its sessions.
    read_only: bool,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl Source {
    /// Takes a `postgres://` URL. `sslmode` and `sslrootcert` mean what they mean to libpq, `sslaccept` what it means to
    /// Prisma; `tls_ca_file` is trusted beside the system's authorities. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SourceError::Url`], [`SourceError::Tls`] or [`SourceError::Pooler`] when the settings cannot be used.
    pub fn new(url: &SecretUrl, tls_ca_file: Option<&Path>) -> Result<Self, SourceError> {
        let parsed = url::parse(url.expose(), tls_ca_file)?;
        let tls = tls::connector(parsed.verify, parsed.ca_file.as_deref())?;
        Ok(Self { config: parsed.config, tls, direct: Arc::default(), read_only: false })
    }

    /// The source that settings name, with sessions that may only read where they say so. Connects to nothing yet.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn of(settings: &Settings) -> Result<Self, SourceError> {
        let source = Self::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
        Ok(Self { read_only: settings.source_read_only, ..source })
    }

    /// Opens a connection for streaming and plain statements. The first one looks for a pooler in between.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses, and [`SourceError::Pooler`].
    pub async fn connect(&self, session: Session) -> Result<Client, SourceError> {
        self.refuse_pooler().await?;
        within(OPEN_TIMEOUT, async {
            let client = self.open(session.name()).await?;
            client.batch_execute(&session.opening(self.read_only)).await?;
            Ok(client)
        })
        .await
    }

    /// Opens a connection for Diesel. The first one looks for a pooler in between.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses, and [`SourceError::Pooler`].
    pub async fn connect_diesel(&self, session: Session) -> Result<Control, SourceError> {
        use diesel_async::SimpleAsyncConnection;
        self.refuse_pooler().await?;
        within(OPEN_TIMEOUT, async {
            let (client, connection) = self.named(session.name()).connect(self.tls.clone()).await?;
            let mut diesel = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
            diesel.batch_execute(&session.opening(self.read_only)).await?;
            Ok(diesel)
        })
        .await
    }

    /// Finds out, once for this source and its clones, whether a pooler in transaction mode stands in between: session
    /// locks would stay with nobody, and our settings would reach the application's statements. Both ways of connecting
    /// do this first. Two connections for a dozen round trips; no setting is changed through them.
    ///
    /// # Errors
    /// [`SourceError::Pooler`] when there is one, and when Postgres cannot be asked; then the next call asks again.
    pub async fn refuse_pooler(&self) -> Result<(), SourceError> {
        self.direct.get_or_try_init(async || within(LOOK_TIMEOUT, self.look()).await).await.copied()
    }

    async fn look(&self) -> Result<(), SourceError> {
        let (first, second) = (self.open(LOOKING).await?, self.open(LOOKING).await?);
        let mut answers = Vec::with_capacity(ORDER.len());
        for asker in ORDER {
            let client = if asker == Asker::First { &first } else { &second };
            answers.push((asker, session_of(client).await?));
        }
        sign_in(&answers).map_or(Ok(()), |sign| Err(SourceError::Pooler(sign)))
    }

    /// Asks Postgres to give up what this client waits for. The answer to that is an error, if it comes in time.
    ///
    /// # Errors
    /// When Postgres cannot be reached.
    pub async fn cancel(&self, client: &Client) -> Result<(), SourceError> {
        Ok(client.cancel_token().cancel_query(self.tls.clone()).await?)
    }

    async fn open(&self, name: &str) -> Result<Client, SourceError> {
        let (client, connection) = self.named(name).connect(self.tls.clone()).await?;
        tokio::spawn(async move {
            // Whoever uses the client sees the error too; this says it where nobody was waiting for an answer.
            if let Err(error) = connection.await.map_err(SourceError::from) {
                tracing::debug!(%error, "connection to Postgres ended");
            }
        });
        Ok(client)
    }

    fn named(&self, name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(format!("{name} {}", lockstep_core::instance::short()));
        config
    }
}

/// What tells the session apart that runs a statement of this client. Without a prepared statement, which a pooler may
/// refuse in words of its own.
async fn session_of(client: &Client) -> Result<Vec<Option<String>>, SourceError> {
    let answer = client.simple_query(ASK).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.map(|row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()).unwrap_or_default())
}
