//! The HTTP connection below everything: no delay, TLS, timeouts, compression.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clickhouse::{Client, Compression};
use futures_util::Stream;
use lockstep_core::http;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::ClickHouseSettings;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use super::in_time::InTime;
use super::pinned::{self, Pinned};
use super::reader::{Reader, silent};
use super::{error, stream};
use crate::error::{DestinationError, Failure};

/// How long the server may take to say what may be set.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long its answer is relied on: somebody may change a profile while programs run. One short question in that time costs
/// nothing.
const PINNED_FOR: Duration = Duration::from_secs(60);

/// Both ways to speak to the server: the `clickhouse` crate's client, and a reader of streams.
#[derive(Debug)]
pub(super) struct Connection {
    /// Without any settings.
    pub(super) client: Client,
    pub(super) reader: Reader,
    /// What was found last, and when.
    pinned: Mutex<Option<(Instant, Arc<Pinned>)>>,
    pub(super) in_time: InTime,
}

impl Connection {
    /// What statements have to be sent with: the server is asked before the first of them, once a minute, after it refused a
    /// setting, and again until it has answered. It may take as long as the statement that waits for it.
    pub(super) async fn pinned(&self, limit: Duration) -> Result<Arc<Pinned>, DestinationError> {
        tokio::time::timeout(limit, self.find_pinned()).await.unwrap_or_else(|_| Err(silent(limit)))
    }

    async fn find_pinned(&self) -> Result<Arc<Pinned>, DestinationError> {
        let mut known = self.pinned.lock().await;
        if let Some((found_at, pinned)) = &*known
            && found_at.elapsed() < PINNED_FOR
        {
            return Ok(Arc::clone(pinned));
        }
        let found = Arc::new(Pinned::find(self).await?);
        if known.as_ref().is_none_or(|(_, before)| before.kept_limits != found.kept_limits) {
            found.tell();
        }
        *known = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }

    /// Passes a failure on. Where the server refused a setting, its user's profile is another than it was: the next statement
    /// finds out what may be set, and which setting it is that may not.
    pub(super) fn noted(&self, error: DestinationError) -> DestinationError {
        if pinned::is_refused(&error)
            && let Ok(mut known) = self.pinned.try_lock()
        {
            *known = None;
        }
        error
    }

    /// The answer of a query with these parameters of the URL alone.
    pub(super) fn ask(
        &self,
        parameters: &str,
        sql: &str,
    ) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send + use<> {
        let (reader, parameters, sql) = (self.reader.clone(), parameters.to_owned(), sql.to_owned());
        stream::flatten(async move { reader.ask(&parameters, sql, "TabSeparated", SETTINGS_TIMEOUT).await })
    }
}

/// Not connected yet.
pub(super) fn open(settings: &ClickHouseSettings, tls_ca_file: Option<&Path>) -> Result<Connection, DestinationError> {
    let url = settings.url.expose();
    let encrypted = is_encrypted(&settings.url)?;
    let connector = http::connector(encrypted, tls_ca_file).map_err(|what| error(Failure::Misconfigured, what))?;
    let pool = http::pool();
    // Measured on one machine, 265 MB of RowBinary: LZ4 costs the sender 0.45 s of CPU and saves the server nothing.
    // Behind TLS there is more of a network, and each byte costs twice.
    let compression = if encrypted { Compression::Lz4 } else { Compression::None };
    let client = Client::with_http_client(pool.build(connector.clone()))
        .with_compression(compression)
        .with_url(url)
        .with_user(&settings.user)
        .with_password(settings.password.expose_secret())
        // It always exists, and a name without a database lands nowhere by accident.
        .with_database("system")
        .with_product_info("lockstep", env!("CARGO_PKG_VERSION"));
    let reader = Reader::new(pool.build(connector), settings)?;
    Ok(Connection { client, reader, pinned: Mutex::new(None), in_time: InTime::default() })
}

/// Whether the URL asks for TLS. That it holds neither user nor password is the settings' part.
fn is_encrypted(url: &SecretUrl) -> Result<bool, DestinationError> {
    let wrong = |what: &str| Err(error(Failure::Misconfigured, format!("LOCKSTEP_CLICKHOUSE_URL {what}")));
    match url.expose().split_once("://") {
        None => wrong("is missing or is no URL"),
        Some(("http", _)) => Ok(false),
        Some(("https", _)) => Ok(true),
        Some(_) => wrong("must start with http:// or https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_work_is_refused_without_showing_it() {
        for (url, said) in [("", "is missing"), ("tcp://app:hunter2@host:9000", "must start with")] {
            let error = is_encrypted(&SecretUrl::new(url)).unwrap_err();
            assert_eq!(error.failure(), Failure::Misconfigured);
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(is_encrypted(&SecretUrl::new("http://127.0.0.1:8123")), Ok(false));
        assert_eq!(is_encrypted(&SecretUrl::new("https://clickhouse.internal/path")), Ok(true));
    }
}
