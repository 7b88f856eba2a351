//! What the user may do with the queues, asked without making, sending or taking anything.
//!
//! The protocol has no question for it. So things are asked for that the broker refuses in any case: it looks at rights first, and only
//! then at what is wrong with the rest. Should a broker take it after all, the queue and the consumer go with the connection.

use std::fmt;
use std::path::Path;

use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use lockstep_core::secret::SecretUrl;
use tokio::time::timeout;

use crate::declare::{DECLARE_TIMEOUT, short_name, visitor};
use crate::endpoint::Endpoint;
use crate::error::QueueError;
use crate::link::{self, Link};
use crate::topology::Topology;

/// What the user may not do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MissingRight {
    /// Declare the queue of this name.
    Configure(String),
    /// Publish to queues by their names, which is to write to the default exchange.
    Write,
    /// Consume the queue of this name, or declare that its dead letters go elsewhere.
    Read(String),
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configure(queue) => write!(f, "configure {queue}"),
            Self::Write => write!(f, "write to {DEFAULT_EXCHANGE}"),
            Self::Read(queue) => write!(f, "read {queue}"),
        }
    }
}

/// The default exchange, as permissions call it.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What to match names with for a user to configure, write and read what is needed, as `rabbitmqctl set_permissions` takes it.
pub fn permissions(topology: &Topology) -> [String; 3] {
    let all_of = |name: &str| format!("^{}", name.replace('.', r"\."));
    let queues = all_of(&format!("{}.", topology.prefix()));
    [queues.clone(), format!("{}$", all_of(DEFAULT_EXCHANGE)), queues]
}

/// Which of the rights that programs need the user of the URL has not.
///
/// # Errors
/// What kept us from asking; [`QueueError::AccessRefused`] where the broker does not let the user in at all.
pub async fn missing_rights(
    url: &SecretUrl,
    ca: Option<&Path>,
    topology: &Topology,
) -> Result<Vec<MissingRight>, QueueError> {
    let endpoint = visitor(url, ca);
    let link = link::open(&endpoint).await?;
    let asked = timeout(DECLARE_TIMEOUT, ask(&endpoint, &link, topology)).await;
    link.close().await;
    asked.map_err(|_| endpoint.timeout("asking for rights", DECLARE_TIMEOUT))?
}

async fn ask(endpoint: &Endpoint, link: &Link<Channel>, topology: &Topology) -> Result<Vec<MissingRight>, QueueError> {
    let mut missing = Vec::new();
    for plan in topology.queues() {
        if is_missing(endpoint, configure(&channel(endpoint, link).await?, &plan.name).await)? {
            missing.push(MissingRight::Configure(plan.name.clone()));
        }
        // Declaring the others asks for it too.
        let is_read = plan.dead_letters_to.is_some();
        if is_read && is_missing(endpoint, read(&channel(endpoint, link).await?, &plan.name).await)? {
            missing.push(MissingRight::Read(plan.name));
        }
    }
    if is_missing(endpoint, write(&channel(endpoint, link).await?).await)? {
        missing.push(MissingRight::Write);
    }
    Ok(missing)
}

/// What the broker refuses ends its channel, so each question has one of its own.
async fn channel(endpoint: &Endpoint, link: &Link<Channel>) -> Result<Channel, QueueError> {
    link.channel().await.map_err(|error| endpoint.client_error(&error))
}

/// Declares a queue whose dead letters go to a number.
async fn configure(channel: &Channel, queue: &str) -> Result<(), Refusal> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let arguments = wrong("x-dead-letter-exchange", AMQPValue::LongInt(1));
    Ok(channel.queue_declare(short_name(queue)?, options, arguments).await.map(drop)?)
}

/// Consumes with a text for a priority.
async fn read(channel: &Channel, queue: &str) -> Result<(), Refusal> {
    let arguments = wrong("x-priority", AMQPValue::LongString("none".into()));
    Ok(channel
        .basic_consume(short_name(queue)?, "".into(), BasicConsumeOptions::default(), arguments)
        .await
        .map(drop)?)
}

/// Publishes to the queue without a name. There is none, so the message is thrown away.
async fn write(channel: &Channel) -> Result<(), Refusal> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let publishing =
        channel.basic_publish("".into(), "".into(), BasicPublishOptions::default(), &[], BasicProperties::default());
    Ok(publishing.await?.await.map(drop)?)
}

fn wrong(argument: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(argument.into(), value);
    table
}

/// Why a question was not answered with yes.
enum Refusal {
    Name(QueueError),
    Broker(lapin::Error),
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        Self::Name(error)
    }
}

impl From<lapin::Error> for Refusal {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error)
    }
}

/// Whether an answer says that the right is missing. Whatever else the broker has against the question, it has granted the right.
fn is_missing(endpoint: &Endpoint, answer: Result<(), Refusal>) -> Result<bool, QueueError> {
    let error = match answer {
        Ok(()) => return Ok(false),
        Err(Refusal::Name(error)) => return Err(error),
        Err(Refusal::Broker(error)) => error,
    };
    let lapin::ErrorKind::ProtocolError(protocol) = error.kind() else { return Err(endpoint.client_error(&error)) };
    match protocol.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Ok(true),
        AMQPErrorKind::Soft(
            AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::NOTFOUND | AMQPSoftError::RESOURCELOCKED,
        ) => Ok(false),
        _ => Err(endpoint.client_error(&error)),
    }
}
