//! What can go wrong between Lockstep and the broker, and what an operator does about it.

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lockstep_core::secret::SecretUrl;

/// An error of the queue. Printed, it shows its code, what happened and, where the operator must act, the remedy.
///
/// The client library's own error is kept as its text (`detail`): its printed form already holds all of its causes.
/// No variant holds a password or a payload.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueueError {
    /// No connection, or it broke while in use.
    #[error("LS-0101: no connection to RabbitMQ at {url}: {detail}")]
    Unreachable {
        /// The address, without user and password.
        url: String,
        /// What the network or the broker said.
        detail: String,
    },
    /// The broker knows us and says no.
    #[error(
        "LS-0102: RabbitMQ at {url} refused access: {detail}; check user, password and virtual host of \
         LOCKSTEP_AMQP_URL, and that the user may configure and read the queues of LOCKSTEP_QUEUE_PREFIX, and write to amq.default"
    )]
    AccessRefused {
        /// The address, without user and password.
        url: String,
        /// What the broker said.
        detail: String,
    },
    /// The address or the prefix cannot be used as it stands.
    #[error("LS-0103: LOCKSTEP_AMQP_URL or LOCKSTEP_QUEUE_PREFIX is wrong: {detail}")]
    Misconfigured {
        /// What is wrong, without the value.
        detail: String,
    },
    /// The file with certificate authorities cannot be used.
    #[error("LS-0104: LOCKSTEP_TLS_CA_FILE cannot be used: {detail}; it must hold certificates in PEM form")]
    BadCertificates {
        /// File and problem.
        detail: String,
    },
    /// A queue of this name exists with other arguments: of another version, or somebody else's.
    #[error(
        "LS-0105: the queue {queue} exists with other arguments: {detail}; let the workers empty it, stop Lockstep, \
         delete it (rabbitmqctl delete_queue {queue}) and start again, or choose another LOCKSTEP_QUEUE_PREFIX"
    )]
    TopologyMismatch {
        /// The queue's name.
        queue: String,
        /// What the broker said: the first argument that differs.
        detail: String,
    },
    /// The broker did not take responsibility for messages (nack).
    #[error(
        "LS-0106: RabbitMQ did not accept {refused} of {published} messages for {queue}: the queue is at its limit, or \
         too few of its replicas are up; check that workers run, and `rabbitmq-queues quorum_status {queue}`"
    )]
    NotAccepted {
        /// The queue of the first message that was refused.
        queue: String,
        /// How many were refused.
        refused: usize,
        /// How many were published together.
        published: usize,
    },
    /// A queue does not exist: not yet declared, or deleted meanwhile.
    #[error("LS-0107: RabbitMQ has no queue {queue}; the sequencer and the workers declare it when they connect")]
    NoQueue {
        /// The queue's name.
        queue: String,
    },
    /// No answer within the time limit.
    #[error("LS-0108: RabbitMQ at {url} did not answer within {after_ms} ms while {doing}")]
    Timeout {
        /// The address, without user and password.
        url: String,
        /// What was under way.
        doing: &'static str,
        /// The limit, milliseconds.
        after_ms: u128,
    },
}

impl QueueError {
    /// The operator's code, such as `LS-0101`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "LS-0101",
            Self::AccessRefused { .. } => "LS-0102",
            Self::Misconfigured { .. } => "LS-0103",
            Self::BadCertificates { .. } => "LS-0104",
            Self::TopologyMismatch { .. } => "LS-0105",
            Self::NotAccepted { .. } => "LS-0106",
            Self::NoQueue { .. } => "LS-0107",
            Self::Timeout { .. } => "LS-0108",
        }
    }

    /// Whether the same call can succeed later without anybody changing settings or queues by hand.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotAccepted { .. } | Self::NoQueue { .. } | Self::Timeout { .. } => true,
            Self::AccessRefused { .. }
            | Self::Misconfigured { .. }
            | Self::BadCertificates { .. }
            | Self::TopologyMismatch { .. } => false,
        }
    }

    /// Whether a connection that worked before may come back from this by itself: a broker that restarts can refuse
    /// access until its users and virtual hosts are loaded.
    pub(crate) const fn may_heal(&self) -> bool {
        self.is_retryable() || matches!(self, Self::AccessRefused { .. })
    }

    /// Sorts an error of the client library. `url` is printed without user and password.
    pub(crate) fn from_client(url: &SecretUrl, error: &lapin::Error) -> Self {
        let (url, detail) = (url.to_string(), error.to_string());
        let lapin::ErrorKind::ProtocolError(protocol) = error.kind() else { return Self::Unreachable { url, detail } };
        match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
                Self::AccessRefused { url, detail }
            }
            _ => Self::Unreachable { url, detail },
        }
    }

    /// Sorts what the broker answers to a declaration of `queue`.
    pub(crate) fn from_declare(url: &SecretUrl, queue: &str, error: &lapin::Error) -> Self {
        let queue = queue.to_owned();
        if let lapin::ErrorKind::ProtocolError(protocol) = error.kind() {
            match protocol.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
                    return Self::TopologyMismatch { queue, detail: protocol.get_message().to_string() };
                }
                AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => return Self::NoQueue { queue },
                _ => {}
            }
        }
        Self::from_client(url, error)
    }
}
