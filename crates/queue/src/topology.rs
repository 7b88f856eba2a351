//! The names and limits of all queues, and where a message goes that failed. Pure: nothing here speaks to the broker.

use std::time::Duration;

/// The queues under one prefix, and every limit on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    prefix: String,
    retry_delays: Vec<Duration>,
    max_attempts: u32,
    max_messages: u32,
}

/// One queue as it is declared. All are durable quorum queues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct QueuePlan {
    pub(crate) name: String,
    pub(crate) max_messages: u32,
    pub(crate) max_bytes: u64,
    pub(crate) overflow: Overflow,
    /// Messages leave after this time.
    pub(crate) ttl: Option<Duration>,
    /// How often a message may come back unacknowledged.
    pub(crate) delivery_limit: u32,
    /// The queue that takes what expires here.
    pub(crate) dead_letters_to: Option<String>,
}

/// What a queue does at its limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overflow {
    /// Publishers get a nack: nothing is lost silently.
    RejectPublish,
    /// The oldest message goes.
    DropHead,
}

/// Where a message goes after an attempt that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AfterFailure {
    Retry { queue: String, delay: Duration },
    GiveUp,
}

/// 1 s, 5 s, 30 s, then every 5 minutes.
const RETRY_DELAYS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];

/// With the delays above about 20 minutes pass between the first attempt and the last.
const MAX_ATTEMPTS: u32 = 8;

/// At most 100 million tenants. A sequencer that cannot publish keeps its outbox, so a full queue costs time only.
const MAX_MESSAGES: u32 = 100_000;

/// Bounds the disk of each queue: messages of the full 1 MiB are rare, 100,000 of them must not fill it.
const MAX_BYTES: u64 = 1 << 30;

/// Times that a message may come back unsettled: as good as without limit, and said, since RabbitMQ 4 has a limit of 20 by
/// default and then drops. (It takes -1 for none, which 3.x refuses.)
///
/// A message comes back when its worker is stopped or killed, when the connection breaks, or when the broker's consumer
/// timeout has passed, and up to 4.2 each of that counts, also for messages that were only sent ahead. None of it says that
/// anything is wrong with the message, and in a long outage it adds up. A low limit would also protect nobody: what a
/// message names is announced anew by the sweep until it is shipped. Work that fails is counted by ourselves, in a header.
const DELIVERY_LIMIT: u32 = 1_000_000;

/// Long enough for a person to look after a holiday.
const DEAD_TTL: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl Topology {
    /// The topology whose names start with `prefix`: letters, digits, `.`, `_`, `-`, at most 200 bytes (the settings
    /// check that; a longer one is an error when the queues are declared).
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            retry_delays: RETRY_DELAYS.to_vec(),
            max_attempts: MAX_ATTEMPTS,
            max_messages: MAX_MESSAGES,
        }
    }

    /// Other delays between attempts (the last one repeats), and another number of attempts before a message goes to the
    /// dead letters. Each delay is a queue, named after it, with millisecond precision.
    #[must_use]
    pub fn with_retries(mut self, delays: impl Into<Vec<Duration>>, max_attempts: u32) -> Self {
        self.retry_delays = delays.into();
        self.max_attempts = max_attempts;
        self
    }

    /// Another limit on how many messages may wait in the main queue, and in each retry queue (default 100,000).
    #[must_use]
    pub fn with_max_messages(mut self, max_messages: u32) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// What all names start with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The queue that workers consume.
    pub fn main_queue(&self) -> String {
        format!("{}.tenant-batches", self.prefix)
    }

    /// The queue of messages that were given up.
    pub fn dead_queue(&self) -> String {
        format!("{}.tenant-batches.dead", self.prefix)
    }

    /// The queues in which messages wait for their next attempt, shortest delay first.
    pub fn retry_queues(&self) -> Vec<String> {
        self.retry_delays.iter().map(|delay| self.retry_queue(*delay)).collect()
    }

    fn retry_queue(&self, delay: Duration) -> String {
        format!("{}.tenant-batches.retry-{}", self.prefix, short_duration(delay))
    }

    /// All queues, targets of dead letters before those that name them.
    pub(crate) fn queues(&self) -> Vec<QueuePlan> {
        let dead = QueuePlan {
            name: self.dead_queue(),
            max_messages: MAX_MESSAGES,
            max_bytes: MAX_BYTES,
            overflow: Overflow::DropHead,
            ttl: Some(DEAD_TTL),
            // A person who looks at dead letters again and again takes and returns them.
            delivery_limit: DELIVERY_LIMIT,
            dead_letters_to: None,
        };
        let main = QueuePlan {
            name: self.main_queue(),
            max_messages: self.max_messages,
            overflow: Overflow::RejectPublish,
            ttl: None,
            dead_letters_to: Some(self.dead_queue()),
            ..dead.clone()
        };
        let retries = self.retry_delays.iter().map(|delay| QueuePlan {
            name: self.retry_queue(*delay),
            ttl: Some(*delay),
            dead_letters_to: Some(self.main_queue()),
            ..main.clone()
        });
        [dead.clone(), main.clone()].into_iter().chain(retries).collect()
    }

    /// Where a message goes whose `attempt` (the first is 1) failed.
    pub(crate) fn after_failure(&self, attempt: u32) -> AfterFailure {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        match self.retry_delays.get(index).or(self.retry_delays.last()) {
            Some(&delay) if attempt < self.max_attempts => {
                AfterFailure::Retry { queue: self.retry_queue(delay), delay }
            }
            _ => AfterFailure::GiveUp,
        }
    }
}

/// `5m`, `30s` or `250ms`: the largest unit that is exact.
fn short_duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_eight_times_with_growing_delays() {
        let topology = Topology::new("p");
        let steps: Vec<_> = (1..=8).map(|attempt| topology.after_failure(attempt)).collect();
        let queue = |name: &str| format!("p.tenant-batches.retry-{name}");
        let expected = ["1s", "5s", "30s", "5m", "5m", "5m", "5m"].map(queue);
        for (step, expected) in steps.iter().zip(expected) {
            assert!(matches!(step, AfterFailure::Retry { queue, .. } if *queue == expected), "{step:?}");
        }
        assert_eq!(steps[7], AfterFailure::GiveUp);
        assert_eq!(topology.after_failure(u32::MAX), AfterFailure::GiveUp);
    }

    #[test]
    fn every_queue_has_limits_and_names_its_dead_letters_after_they_exist() {
        let plans = Topology::new("p").queues();
        assert_eq!(plans.len(), 6);
        let mut seen = Vec::new();
        for plan in plans {
            assert!(plan.max_messages > 0 && plan.max_bytes > 0);
            assert_eq!(plan.delivery_limit, DELIVERY_LIMIT, "RabbitMQ 4 drops after 20 deliveries where none is said");
            assert!(plan.dead_letters_to.iter().all(|target| seen.contains(target)), "{plan:?}");
            seen.push(plan.name);
        }
    }

    #[test]
    fn without_delays_the_first_failure_is_the_last() {
        let topology = Topology::new("p").with_retries([], 8);
        assert_eq!(topology.after_failure(1), AfterFailure::GiveUp);
        assert!(topology.retry_queues().is_empty());
    }
}
