//! How many messages wait: asked once, or again and again over one connection.

use std::path::Path;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lockstep_core::secret::SecretUrl;
use tokio::time::timeout;

use crate::declare::{DECLARE_TIMEOUT, short_name, visitor};
use crate::endpoint::Endpoint;
use crate::error::QueueError;
use crate::link::{self, Link};
use crate::topology::Topology;

/// How many messages wait where. Those that workers hold unacknowledged are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueDepths {
    /// For a worker.
    pub ready: u64,
    /// For their next attempt.
    pub retrying: u64,
    /// For a person.
    pub dead: u64,
}

/// Asks for depths over one connection, which is opened with the first question, and anew with the first after a failure.
pub struct DepthsReader {
    endpoint: Endpoint,
    topology: Topology,
    /// `None` before the first question, and after one that was not answered.
    link: Option<Link<Channel>>,
}

impl DepthsReader {
    /// Nothing is connected before the first question.
    pub fn new(url: &SecretUrl, ca: Option<&Path>, topology: Topology) -> Self {
        Self { endpoint: visitor(url, ca), topology, link: None }
    }

    /// Looks how many messages wait, without declaring or changing anything.
    ///
    /// Cancel-safe: the connection of a question that was given up is closed.
    ///
    /// # Errors
    /// [`QueueError::NoQueue`] before anything declared the queues; otherwise what kept us from asking. Tried once.
    pub async fn read(&mut self) -> Result<QueueDepths, QueueError> {
        let link = match self.link.take().filter(Link::is_open) {
            Some(link) => link,
            None => link::open(&self.endpoint).await?,
        };
        let reading = timeout(DECLARE_TIMEOUT, read(&self.endpoint, link.work(), &self.topology));
        let depths = reading.await.map_err(|_| self.endpoint.timeout("asking for queue depths", DECLARE_TIMEOUT))??;
        // The broker closes the channel of a question that it refuses, so only what was answered goes on.
        self.link = Some(link);
        Ok(depths)
    }

    /// Closes the connection, and waits a short while for the broker to know.
    pub async fn close(mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }
}

/// Looks once how many messages wait.
///
/// # Errors
/// As [`DepthsReader::read`].
pub async fn depths(url: &SecretUrl, ca: Option<&Path>, topology: &Topology) -> Result<QueueDepths, QueueError> {
    let mut reader = DepthsReader::new(url, ca, topology.clone());
    let depths = reader.read().await;
    reader.close().await;
    depths
}

async fn read(endpoint: &Endpoint, channel: &Channel, topology: &Topology) -> Result<QueueDepths, QueueError> {
    let mut retrying = 0;
    for queue in topology.retry_queues() {
        retrying += depth(endpoint, channel, &queue).await?;
    }
    let ready = depth(endpoint, channel, &topology.main_queue()).await?;
    Ok(QueueDepths { ready, retrying, dead: depth(endpoint, channel, &topology.dead_queue()).await? })
}

async fn depth(endpoint: &Endpoint, channel: &Channel, queue: &str) -> Result<u64, QueueError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(short_name(queue)?, passive, FieldTable::default()).await;
    let found = found.map_err(|error| QueueError::from_declare(&endpoint.url, queue, &error))?;
    Ok(found.message_count().into())
}
