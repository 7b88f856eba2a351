//! Events as signed requests to one receiver: <https://www.standardwebhooks.com>. What becomes of each is in `lockstep.event_delivery`,
//! so that whoever leads next goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use lockstep_core::failpoint;
use lockstep_core::http::{HttpClient, class};
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::{EventSettings, EventSink, Settings};
use lockstep_core::webhook_secrets::WebhookSecrets;
use lockstep_schema::Source;
use lockstep_schema::tasks::{Ran, Task};
use rand::Rng;
use tokio::time::timeout;

use super::signature::signatures;
use super::{EVERY, TellError, task_of};
use crate::metrics;
use crate::plan::deliveries::{Answer, JITTER, judge, next_wait};
use crate::storage::deliveries::Due;
use crate::storage::events::EventSession;

/// For one request, up to the head of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Events that are sent at a look, one after another.
const PAGE: i64 = 16;
/// No request is begun in a look that has taken so long.
const LOOK: Duration = Duration::from_secs(20);

/// Sends events to one receiver, each at least once.
pub(super) struct SendEvents {
    sink: String,
    name: String,
    url: SecretUrl,
    settings: EventSettings,
    tls_ca_file: Option<PathBuf>,
    /// Lines of the file of secrets that are nobody's, as they were said last.
    said: Vec<String>,
}

/// What came of a request.
enum Sent {
    Taken,
    Gone,
    /// Why, as one word, and for how long the receiver wants to be told nothing.
    Failed(String, Option<Duration>),
}

impl SendEvents {
    pub(super) fn new(sink: &EventSink, url: &SecretUrl, settings: &Settings) -> Self {
        Self {
            sink: sink.name.clone(),
            name: task_of(sink),
            url: url.clone(),
            settings: settings.events.clone(),
            tls_ca_file: settings.tls_ca_file.clone(),
            said: Vec::new(),
        }
    }

    /// Read at every look that has something to send: a secret is replaced without a restart.
    fn secrets(&mut self) -> Result<WebhookSecrets, TellError> {
        let secrets = WebhookSecrets::load(self.settings.secret_file.as_deref())?;
        let names: Vec<_> = self.settings.sinks.iter().map(|sink| &sink.name).collect();
        let nobodys: Vec<_> = secrets.of_nobody(&names).iter().map(ToString::to_string).collect();
        for error in nobodys.iter().filter(|line| !self.said.contains(line)) {
            tracing::warn!(
                sink = self.sink,
                error,
                "a line of the webhooks' secrets names no webhook and is no secret"
            );
        }
        self.said = nobodys;
        Ok(secrets)
    }

    fn request(&self, due: &Due, secrets: &[&[u8]], now: SystemTime) -> Result<Request<Bytes>, TellError> {
        let timestamp_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let body = due.event.to_string();
        Request::post(self.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("lockstep/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &due.webhook_id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signatures(secrets.iter().copied(), &due.webhook_id, timestamp_s, &body))
            .body(Bytes::from(body))
            .map_err(|error| TellError::Webhook(format!("{}: {error}", self.sink)))
    }

    /// The body of the answer is not read.
    async fn send(&self, client: &HttpClient, due: &Due, secrets: &[&[u8]]) -> Result<Sent, TellError> {
        let now = SystemTime::now();
        let request = self.request(due, secrets, now)?;
        let answer = match timeout(ANSWER_WITHIN, client.send(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Ok(Sent::Failed(class(&error).to_owned(), None)),
            Err(_) => return Ok(Sent::Failed("timeout".to_owned(), None)),
        };
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let status = answer.status().as_u16();
        Ok(match judge(status, retry_after, now) {
            Answer::Taken => Sent::Taken,
            Answer::Gone => Sent::Gone,
            Answer::Refused(rest) => Sent::Failed(format!("http_{status}"), rest),
        })
    }

    /// Notes what came of it. Returns whether the receiver may be sent the next one.
    async fn note(&self, session: &EventSession, due: &Due, sent: Sent) -> Result<bool, TellError> {
        let (sink, event) = (self.sink.as_str(), due.id);
        let attempts = usize::try_from(due.attempts).unwrap_or_default() + 1;
        match sent {
            Sent::Taken => {
                metrics::attempt(sink, "taken");
                session.delivered(sink, &[due.id]).await?;
                Ok(true)
            }
            Sent::Gone => {
                metrics::attempt(sink, "failed");
                tracing::warn!(
                    sink,
                    event,
                    "a webhook's receiver is gone (410): it is sent nothing until `lockstep events resume`"
                );
                session.stop(sink).await?;
                // It is sent first when the sink is resumed.
                session.failed(sink, due, "http_410", Some(Duration::ZERO)).await?;
                Ok(false)
            }
            Sent::Failed(why, rest) => {
                let wait = next_wait(attempts, rand::rng().random_range(0.0..=JITTER));
                metrics::attempt(sink, if wait.is_some() { "failed" } else { "given_up" });
                let next_in_s = wait.map(|wait| wait.as_secs());
                tracing::warn!(sink, event, attempts, why, next_in_s, "a webhook did not take an event");
                session.failed(sink, due, &why, wait).await?;
                if let Some(rest) = rest {
                    session.rest(sink, rest).await?;
                }
                Ok(rest.is_none())
            }
        }
    }
}

impl Task for SendEvents {
    const NAME: &'static str = "send events";
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Session = (EventSession, HttpClient);
    type Error = TellError;

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn open(&self, source: &Source) -> Result<Self::Session, TellError> {
        metrics::none_given_up(&self.sink);
        let is_encrypted = self.url.expose().to_ascii_lowercase().starts_with("https:");
        let client = HttpClient::new(is_encrypted, self.tls_ca_file.as_deref()).map_err(TellError::Webhook)?;
        Ok((EventSession::open(source).await?, client))
    }

    async fn run(&mut self, _: &Source, (session, client): &mut Self::Session) -> Result<Ran, TellError> {
        let due = session.due(&self.sink, PAGE).await?;
        if due.is_empty() {
            return Ok(Ran::did(0, EVERY));
        }
        let (secrets, began, mut tried) = (self.secrets()?, Instant::now(), 0);
        let secrets = secrets.of(&self.sink)?;
        for due in &due {
            let sent = self.send(client, due, &secrets).await?;
            failpoint!("sequencer::events::sent", return Err(std::io::Error::other("failpoint").into()));
            tried += 1;
            if !self.note(session, due, sent).await? || began.elapsed() >= LOOK {
                break;
            }
        }
        Ok(Ran::did(tried, Duration::ZERO))
    }
}
