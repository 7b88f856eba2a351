//! Publishing with confirms: a message counts as sent when the broker has taken responsibility for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation};
use lockstep_core::failpoint;
use lockstep_core::secret::SecretUrl;
use lockstep_core::telemetry::{Origin, TRACEPARENT, TRACESTATE};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::declare::{declare, short_name};
use crate::endpoint::Endpoint;
use crate::error::QueueError;
use crate::link::{self, Link};
use crate::metrics;
use crate::reconnecting::{Reconnecting, Session};
use crate::topology::Topology;

/// For a window of messages to be confirmed, waiting for a connection included.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages under way together. With messages of 1 MiB this bounds what is held in memory twice.
const WINDOW: usize = 128;

/// How often a window is sent over a new connection before the caller hears of it. Sending again is harmless: messages
/// are hints.
const TRIES: u32 = 3;

/// A reason longer than this is cut: headers must fit in one frame with room to spare.
const MAX_REASON_BYTES: usize = 1_000;

/// Counts attempts; the first delivery is attempt 1, and messages without the header count as that.
pub(crate) const ATTEMPT_HEADER: &str = "x-lockstep-attempt";

/// Says why a message was retried or given up.
pub(crate) const REASON_HEADER: &str = "x-lockstep-reason";

/// One message on its way to a queue.
pub(crate) struct Outgoing<'a> {
    pub(crate) queue: String,
    pub(crate) payload: &'a [u8],
    pub(crate) attempt: u32,
    pub(crate) reason: Option<&'a str>,
    /// The span that created it.
    pub(crate) origin: Option<&'a Origin>,
}

/// What is needed to open a session for publishing.
#[derive(Clone)]
pub(crate) struct PublishPlan {
    pub(crate) endpoint: Endpoint,
    pub(crate) topology: Topology,
}

impl PublishPlan {
    pub(crate) fn new(url: &SecretUrl, ca: Option<&Path>, topology: &Topology) -> Self {
        let tls_ca_file = ca.map(PathBuf::from);
        let endpoint = Endpoint { url: url.clone(), tls_ca_file, connection_name: "lockstep-publisher" };
        Self { endpoint, topology: topology.clone() }
    }
}

/// A channel with confirms, on a connection of its own: when the broker is short of memory or disk it stops reading from
/// connections that publish, and acknowledgements must not wait for that.
pub(crate) struct PublishSession {
    link: Link<Channel>,
    endpoint: Endpoint,
    /// No answer is outstanding. After a call that was cancelled or timed out, answers could be mistaken for those to
    /// the next, so the session is not used again.
    answered: bool,
}

impl Session for PublishSession {
    type Plan = PublishPlan;

    fn endpoint(plan: &PublishPlan) -> &Endpoint {
        &plan.endpoint
    }

    async fn open(plan: &PublishPlan) -> Result<Self, QueueError> {
        let link = link::open(&plan.endpoint).await?;
        let confirming = timeout(PUBLISH_TIMEOUT, link.work().confirm_select(ConfirmSelectOptions::default())).await;
        confirming
            .map_err(|_| plan.endpoint.timeout("turning confirms on", PUBLISH_TIMEOUT))?
            .map_err(|error| plan.endpoint.client_error(&error))?;
        declare(&plan.endpoint, link.work(), &plan.topology).await?;
        Ok(Self { link, endpoint: plan.endpoint.clone(), answered: true })
    }

    fn broken(&self) -> Option<&'static str> {
        if !self.answered {
            Some("answers to an earlier call were outstanding")
        } else if self.link.is_open() && self.link.work().status().connected() {
            None
        } else {
            Some("the connection was closed")
        }
    }
}

impl PublishSession {
    /// Publishes all and waits for all answers.
    async fn publish(&mut self, window: &[Outgoing<'_>]) -> Result<(), QueueError> {
        self.answered = false;
        let started = Instant::now();
        let channel = self.link.work();
        let answers = join_all(window.iter().map(|message| publish_one(&self.endpoint, channel, message))).await;
        let mut refused = None;
        let mut count = 0;
        for (message, answer) in window.iter().zip(answers) {
            match answer? {
                // The queue was deleted. The session stays unanswered: the next one declares the queue again.
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    return Err(QueueError::NoQueue { queue: message.queue.clone() });
                }
                Confirmation::Nack(None) => {
                    count += 1;
                    refused.get_or_insert(&message.queue);
                }
                Confirmation::Ack(None) | Confirmation::NotRequested => {}
            }
        }
        self.answered = true;
        metrics::confirmed(started.elapsed());
        match refused {
            Some(queue) => {
                Err(QueueError::NotAccepted { queue: queue.clone(), refused: count, published: window.len() })
            }
            None => Ok(()),
        }
    }
}

async fn publish_one(
    endpoint: &Endpoint,
    channel: &Channel,
    message: &Outgoing<'_>,
) -> Result<Confirmation, QueueError> {
    // Mandatory: a message that no queue takes comes back instead of vanishing.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let queue = short_name(&message.queue)?;
    failpoint!("queue::publish::before", return Err(endpoint.unreachable(&"a failpoint")));
    let published = channel.basic_publish("".into(), queue, options, message.payload, properties(message)).await;
    failpoint!("queue::publish::after", return Err(endpoint.unreachable(&"a failpoint")));
    let confirm = published.map_err(|error| endpoint.client_error(&error))?;
    failpoint!("queue::confirm::before", return Err(endpoint.unreachable(&"a failpoint")));
    let confirmed = confirm.await.map_err(|error| endpoint.client_error(&error));
    failpoint!("queue::confirm::after", return Err(endpoint.unreachable(&"a failpoint")));
    confirmed
}

/// The span that created a message, where its headers name one. They come from outside: whatever else stands there is no span.
pub(crate) fn origin(properties: &BasicProperties) -> Option<Origin> {
    let headers = properties.headers().as_ref()?.inner();
    let text = |name| headers.get(name).and_then(AMQPValue::as_long_string).map(LongString::as_bytes);
    Origin::from_headers(text(TRACEPARENT)?, text(TRACESTATE))
}

fn properties(message: &Outgoing<'_>) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(ATTEMPT_HEADER.into(), AMQPValue::LongLongInt(message.attempt.into()));
    if let Some(reason) = message.reason {
        let end = reason.floor_char_boundary(MAX_REASON_BYTES);
        headers.insert(REASON_HEADER.into(), AMQPValue::LongString(reason[..end].into()));
    }
    if let Some(origin) = message.origin {
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(origin.traceparent().into()));
        if let Some(state) = origin.tracestate() {
            headers.insert(TRACESTATE.into(), AMQPValue::LongString(state.into()));
        }
    }
    BasicProperties::default()
        .with_content_type("application/x-protobuf".into())
        .with_type("lockstep.v1.TenantBatch".into())
        // Persistent. Quorum queues persist everything; other programs that move messages look at this.
        .with_delivery_mode(2)
        .with_headers(headers)
}

/// Publishes, over connections that come and go. Calls take turns.
pub(crate) struct Outbound {
    session: Mutex<Reconnecting<PublishSession>>,
    endpoint: Endpoint,
}

impl Outbound {
    /// Connects when the first message is sent.
    pub(crate) fn new(plan: PublishPlan) -> Self {
        Self { endpoint: plan.endpoint.clone(), session: Mutex::new(Reconnecting::new(plan)) }
    }

    /// Connects now.
    pub(crate) async fn connect(&self) -> Result<(), QueueError> {
        self.session.lock().await.ready().await.map(|_| ())
    }

    pub(crate) fn session_mut(&mut self) -> &mut Reconnecting<PublishSession> {
        self.session.get_mut()
    }

    /// Sends all messages in order of windows and waits until the broker has confirmed all.
    pub(crate) async fn send(&self, messages: &[Outgoing<'_>]) -> Result<(), QueueError> {
        for window in messages.chunks(WINDOW) {
            match timeout(PUBLISH_TIMEOUT, self.send_window(window)).await {
                Ok(sent) => sent?,
                Err(_) => return Err(self.endpoint.timeout(self.waiting_for(), PUBLISH_TIMEOUT)),
            }
        }
        Ok(())
    }

    async fn send_window(&self, window: &[Outgoing<'_>]) -> Result<(), QueueError> {
        let mut session = self.session.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            match session.ready().await?.publish(window).await {
                Err(error @ (QueueError::Unreachable { .. } | QueueError::NoQueue { .. })) => {
                    session.lost(&error);
                    if tries == TRIES {
                        return Err(error);
                    }
                }
                answered => return answered,
            }
        }
    }

    fn waiting_for(&self) -> &'static str {
        let Ok(session) = self.session.try_lock() else { return "waiting for its turn to publish" };
        match session.last() {
            None => "waiting for a connection to publish",
            Some(session) if session.link.is_blocked() => {
                "waiting for confirms (it has stopped taking messages: it is short of memory or disk)"
            }
            Some(_) => "waiting for confirms",
        }
    }

    /// Closes the connection, if one is open.
    pub(crate) async fn close(self) {
        if let Some(session) = self.session.into_inner().into_session() {
            session.link.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn with(name: &str, value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), value);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn a_message_tells_which_span_created_it() {
        let created = Origin::from_headers(GOOD.as_bytes(), Some(b"a=b"));
        let message =
            Outgoing { queue: String::new(), payload: b"", attempt: 3, reason: None, origin: created.as_ref() };
        assert!(created.is_some());
        assert_eq!(origin(&properties(&message)), created);
        assert_eq!(origin(&properties(&Outgoing { origin: None, ..message })), None);
    }

    #[test]
    fn headers_that_name_no_span_are_ignored() {
        assert_eq!(origin(&BasicProperties::default()), None);
        let values = [
            AMQPValue::Void,
            AMQPValue::LongLongInt(7),
            AMQPValue::FieldTable(FieldTable::default()),
            AMQPValue::LongString("garbage".into()),
            AMQPValue::LongString("0".repeat(1 << 20).into()),
            AMQPValue::LongString(vec![0xff; 55].into()),
        ];
        for value in values {
            assert_eq!(origin(&with(TRACEPARENT, value)), None);
        }
        // A state of the wrong type is no reason to forget the span.
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(GOOD.into()));
        headers.insert(TRACESTATE.into(), AMQPValue::Boolean(true));
        let mixed = BasicProperties::default().with_headers(headers);
        assert_eq!(origin(&mixed).map(|origin| origin.traceparent()).as_deref(), Some(GOOD));
    }
}
