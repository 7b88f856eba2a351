//! HTTP connections of all programs: TLS by the authorities that are trusted, and no more. No redirect is followed.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use crate::authorities::authorities;

/// Why a request has no answer.
pub use hyper_util::client::legacy::Error as HttpError;

/// All addresses of the host together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the three seconds after which older servers of ClickHouse close an idle connection: a request on a connection that is
/// being closed fails.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection whose other side vanished without a word is noticed after this and a few probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Of an answer's head, and of what is read of its body at a time.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Connects with TLS where the URL asks for it.
pub type Connector = HttpsConnector<HttpConnector>;

/// What connects: to the authorities of the system and of the file, where anything `is_encrypted`.
///
/// # Errors
/// What is wrong with the authorities, in words.
pub fn connector(is_encrypted: bool, tls_ca_file: Option<&Path>) -> Result<Connector, String> {
    let mut tcp = HttpConnector::new();
    // Without it a small request waits 40 ms for a delayed acknowledgement.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.enforce_http(false);
    // Nobody is trusted where nobody has to be: a container without authorities can speak plain HTTP.
    let roots = if is_encrypted { authorities(tls_ca_file)? } else { RootCertStore::empty() };
    let tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|why| format!("TLS cannot be used: {why}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp))
}

/// What keeps connections, for a short time.
pub fn pool() -> legacy::Builder {
    let mut pool = legacy::Client::builder(TokioExecutor::new());
    pool.pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE_TIMEOUT);
    pool
}

/// Sends small requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient(legacy::Client<Connector, Full<Bytes>>);

impl HttpClient {
    /// As [`connector`].
    ///
    /// # Errors
    /// What is wrong with the authorities, in words.
    pub fn new(is_encrypted: bool, tls_ca_file: Option<&Path>) -> Result<Self, String> {
        let connector = connector(is_encrypted, tls_ca_file)?;
        Ok(Self(pool().http1_max_buf_size(MAX_BUFFER_BYTES).build(connector)))
    }

    /// Sends a request, for as long as it takes. Of the answer the body is not read yet: where it is dropped, it is not read at all.
    ///
    /// # Errors
    /// When there is no answer. The error's text may name the address.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, HttpError> {
        self.0.request(request.map(Full::new)).await
    }
}

/// What went wrong, without an address: `tls`, `unreachable` or `broken_off`.
pub fn class(error: &HttpError) -> &'static str {
    match error.source() {
        Some(cause) if is_of_tls(cause) => "tls",
        _ if error.is_connect() => "unreachable",
        _ => "broken_off",
    }
}

/// Errors of the system hold others, which are not their sources.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || held.is_some_and(|held| is_of_tls(held)) || error.source().is_some_and(is_of_tls)
}
