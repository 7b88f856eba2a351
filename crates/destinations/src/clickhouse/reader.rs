//! Asking for an answer that is read as it arrives.
//!
//! Not through the `clickhouse` crate: it takes any chunk that ends in `))\n` and holds the words of an exception for
//! one, wherever the network happens to cut it. A tenant whose rows hold such a text could so end every stream it is in.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use lockstep_core::http::Connector;
use lockstep_core::settings::ClickHouseSettings;
use secrecy::ExposeSecret;

use super::stream::Answer;
use super::{error, exception, failure};
use crate::error::{DestinationError, Failure};

/// Bytes of an answer that failed that are read at most; its last part is looked at.
const MAX_FAILED_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Longer than any exception: the server cuts its text at 16 KiB.
pub(super) const EXCEPTION_BYTES: usize = 32 * 1024;

const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const PASSWORD: HeaderName = HeaderName::from_static("x-clickhouse-key");
const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");
const EXCEPTION_TAG: HeaderName = HeaderName::from_static("x-clickhouse-exception-tag");

/// Asks queries. Clones are cheap and share connections.
#[derive(Clone)]
pub(super) struct Reader {
    http: HttpClient<Connector, Full<Bytes>>,
    url: String,
    user: HeaderValue,
    password: HeaderValue,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(
        http: HttpClient<Connector, Full<Bytes>>,
        settings: &ClickHouseSettings,
    ) -> Result<Self, DestinationError> {
        let header = |value: &str, name: &str| {
            HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| error(Failure::Misconfigured, format!("{name} holds a control character")))
        };
        let mut password = header(settings.password.expose_secret(), "LOCKSTEP_CLICKHOUSE_PASSWORD")?;
        password.set_sensitive(true);
        let url = settings.url.expose();
        let url = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { http, url, user: header(&settings.user, "LOCKSTEP_CLICKHOUSE_USER")?, password })
    }

    /// The answer of a query that reads, once the server begins to give it. `settings` are parameters of the URL (`&a=b`).
    pub(super) async fn ask(
        &self,
        settings: &str,
        sql: String,
        format: &str,
        idle: Duration,
    ) -> Result<Answer, DestinationError> {
        // The server parses 256 KiB of a statement unless told otherwise.
        let size = sql.len() + 1024;
        let url = format!("{}/?database=system&default_format={format}{settings}&max_query_size={size}", self.url);
        let request = Request::post(url)
            .header(USER, &self.user)
            .header(PASSWORD, &self.password)
            .header(hyper::header::USER_AGENT, concat!("lockstep/", env!("CARGO_PKG_VERSION")))
            .body(Full::from(sql))
            .map_err(|_| error(Failure::Misconfigured, "LOCKSTEP_CLICKHOUSE_URL is no URL"))?;
        let response = tokio::time::timeout(idle, self.http.request(request)).await.map_err(|_| silent(idle))?;
        let response = response.map_err(|error| failure::from_network(&error))?;
        let headers = response.headers();
        if response.status() != StatusCode::OK || headers.contains_key(EXCEPTION_CODE) {
            return Err(failed(response, idle).await);
        }
        let tag = headers.get(EXCEPTION_TAG).map(|tag| Bytes::copy_from_slice(tag.as_bytes()));
        Ok(Answer::new(response.into_body(), tag, idle))
    }
}

pub(super) fn silent(idle: Duration) -> DestinationError {
    error(Failure::Unavailable, format!("a stream without a byte for {} ms", idle.as_millis()))
}

/// Reads why. Rows that the server had buffered can stand before it.
async fn failed(response: Response<Incoming>, idle: Duration) -> DestinationError {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let (mut last, mut total) = (VecDeque::new(), 0);
    // Whatever ends the answer early, what came by then is looked at.
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle, body.frame()).await {
        let Ok(chunk) = frame.into_data() else { continue };
        total += chunk.len();
        last.extend(chunk);
        last.drain(..last.len().saturating_sub(EXCEPTION_BYTES));
        if total > MAX_FAILED_ANSWER_BYTES {
            break;
        }
    }
    exception::from_status(status, &String::from_utf8_lossy(last.make_contiguous()))
}
