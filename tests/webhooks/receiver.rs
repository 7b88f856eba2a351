//! A receiver of webhooks: keeps what is sent, answers as it is told, and verifies signatures by the specification with libraries of its own.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::server::TlsStream;

/// What every answer's body holds, and the path of every address: nothing may show them.
pub(crate) const NOT_SHOWN: &str = "hunter2";

/// What it says to a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// Nothing, ever.
    Hangs,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Kept {
    requests: Vec<Request>,
    answer: Answer,
}

type Shared = Arc<Mutex<Kept>>;

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    kept: Shared,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// One of this machine, without TLS.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/{NOT_SHOWN}", listener.local_addr()?);
        Ok(Self::serve(url, listener))
    }

    /// One with a certificate of its own, which is written to a file.
    pub(crate) async fn encrypted(certificate: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(certificate, made.cert.pem())?;
        let key = made.signing_key.serialize_der().try_into().map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}/{NOT_SHOWN}", listener.local_addr()?.port());
        Ok(Self::serve(url, Encrypted(listener, Arc::new(config).into())))
    }

    fn serve<L: Listener>(url: String, listener: L) -> Self
    where
        L::Addr: std::fmt::Debug,
    {
        let kept = Arc::new(Mutex::new(Kept { requests: Vec::new(), answer: Answer::Status(204) }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&kept));
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Self { url, kept, serving }
    }

    /// Says this from now on.
    pub(crate) fn answers(&self, answer: Answer) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).answer = answer;
    }

    /// All that came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).requests.clone()
    }

    /// The states of what came about a subject, as often as it came.
    pub(crate) fn states(&self, subject: &str) -> Result<Vec<String>> {
        let events = self.requests().iter().map(Request::event).collect::<Result<Vec<_>>>()?;
        let about = events.iter().filter(|event| event["subject"] == subject);
        Ok(about.map(|event| event["state"].as_str().unwrap_or("?").to_owned()).collect())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(kept): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.push(Request { headers, body });
        kept.answer.clone()
    };
    let status = |status| StatusCode::from_u16(status).expect("a status");
    match answer {
        Answer::Status(code) => (status(code), NOT_SHOWN.repeat(100_000)).into_response(),
        Answer::With(code, name, value) => (status(code), [(name, value)], NOT_SHOWN).into_response(),
        Answer::Hangs => pending().await,
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Result<&str> {
        Ok(self.headers.get(name).with_context(|| format!("no {name}"))?.to_str()?)
    }

    pub(crate) fn event(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the body is no JSON")
    }

    /// Which of its signatures are of this secret. It is of now, or fails.
    pub(crate) fn verified(&self, secret: &str) -> Result<Vec<bool>> {
        let (id, timestamp) = (self.header("webhook-id")?, self.header("webhook-timestamp")?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(now.abs_diff(timestamp.parse()?) < 300, "it is of another time: {timestamp}");
        ensure!(!id.contains('.'), "the id could be taken for more than that: {id}");
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").context("no secret")?)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(&self.body);
        let is_right = |signature: &str| {
            let (version, base64) = signature.split_once(',').context("no version")?;
            ensure!(version == "v1", "another version: {version}");
            Ok(mac.clone().verify_slice(&BASE64_STANDARD.decode(base64)?).is_ok())
        };
        self.header("webhook-signature")?.split(' ').map(is_right).collect()
    }
}

struct Encrypted(TcpListener, TlsAcceptor);

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // Who does not trust it goes away, and comes again.
            if let Ok((stream, address)) = self.0.accept().await
                && let Ok(stream) = self.1.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
