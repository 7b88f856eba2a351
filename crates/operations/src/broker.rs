//! How many messages wait at the broker, or why that is not known.

use std::time::Duration;

use lockstep_core::remedy::told;
use lockstep_core::settings::Settings;
use lockstep_queue::{DepthsReader, QueueError, Topology, virtual_host};
use serde::Serialize;
use tokio::time::timeout;

use crate::shell::word;

/// Messages that wait, or why they are not known.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Queue {
    /// The broker has answered.
    Known {
        /// For a worker to take.
        ready: u64,
        /// After a failure, for their time.
        retrying: u64,
        /// Given up.
        dead: u64,
    },
    /// It has, and has no such queues.
    Missing {
        /// The first that it does not have: no program has connected yet, or somebody has deleted it.
        missing: String,
    },
    /// It has not.
    Unknown {
        /// What was wrong.
        error: String,
    },
}

/// The queues that programs declare under the prefix of these settings.
pub fn queue_names(settings: &Settings) -> Vec<String> {
    let topology = Topology::new(&settings.queue_prefix);
    [vec![topology.main_queue()], topology.retry_queues(), vec![topology.dead_queue()]].concat()
}

/// The commands that delete these queues, for whoever has `rabbitmqctl` at hand: the programs themselves delete none.
pub fn queues_taken_out(settings: &Settings) -> Vec<String> {
    let elsewhere = virtual_host(&settings.amqp_url).filter(|host| host != "/");
    let vhost = elsewhere.map_or_else(String::new, |host| format!(" --vhost {}", word(&host)));
    queue_names(settings).iter().map(|name| format!("rabbitmqctl delete_queue{vhost} {}", word(name))).collect()
}

/// Asks the broker again and again over one connection. After a failure the next question opens another.
pub struct Broker {
    reader: DepthsReader,
    limit: Duration,
    settings: Settings,
}

impl Broker {
    /// Nothing is connected before the first question. What takes longer than `limit` is unknown, and was asked in vain.
    pub fn new(settings: &Settings, limit: Duration) -> Self {
        let topology = Topology::new(&settings.queue_prefix);
        let reader = DepthsReader::new(&settings.amqp_url, settings.tls_ca_file.as_deref(), topology);
        Self { reader, limit, settings: settings.clone() }
    }

    pub(crate) async fn queue(&mut self) -> Queue {
        match timeout(self.limit, self.reader.read()).await {
            Ok(Ok(depths)) => Queue::Known { ready: depths.ready, retrying: depths.retrying, dead: depths.dead },
            Ok(Err(QueueError::NoQueue { queue })) => Queue::Missing { missing: queue },
            Ok(Err(error)) => Queue::Unknown { error: told(&error.to_string(), &self.settings) },
            Err(_) => Queue::Unknown { error: format!("it has not answered within {} s", self.limit.as_secs()) },
        }
    }

    pub(crate) async fn close(self) {
        self.reader.close().await;
    }
}
