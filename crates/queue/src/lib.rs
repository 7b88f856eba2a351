//! RabbitMQ behind [`Publisher`] and [`Consumer`], and the messages that travel through it.
//!
//! ```text
//!  Publisher ──▶ {prefix}.tenant-batches ──▶ Consumer ──▶ ack
//!                  ▲                            │
//!                  │ after 1 s, 5 s, 30 s, 5 m  │ retry: attempt + 1
//!                  └── {prefix}.tenant-batches.retry-… ◀─┤
//!                                                        │ no batch at all · 8 attempts failed
//!                      {prefix}.tenant-batches.dead ◀────┘ (never by the broker: nothing depends on its defaults)
//! ```
//!
//! A message is a [`TenantBatch`]: "these tenancies have changes". It is a hint and holds nothing that matters. The truth is
//! the sequence in the source and the cursor in the destination; a message that is lost, repeated, late or out of order
//! costs time, never data. So this crate prefers sending twice to asking back.
//!
//! # What it guarantees
//!
//! - [`Publisher::publish`] returns `Ok` when a quorum of the broker holds every message on disk. A full queue is an
//!   error, not a silent loss.
//! - A message leaves the main queue when it was acknowledged, or when its copy in a retry queue or among the dead letters
//!   is confirmed. A consumer that dies leaves its messages for the next, however often that happens: the broker gives no
//!   message up by itself.
//! - What is no batch never reaches the worker: it goes to the dead letters at once, with the reason in the header
//!   `x-lockstep-reason`.
//! - Every queue has a limit in messages and bytes, every message one in tenancies and bytes, every call one in time; but
//!   [`Consumer::next`] and the two `connect` wait for as long as it takes.
//! - Both sides notice within 20 seconds that the broker is gone or hangs (heartbeats), reconnect with growing waits,
//!   declare the queues again, and say so in the log.
//!
//! The client library, lapin, is named in this crate only. Its own recovery is not used: a connection that breaks is
//! dropped whole and replaced, so there is one path for first and later connections, and none on which old and new state
//! meet.

mod batch;
mod consumer;
mod declare;
mod delivery;
mod depths;
mod endpoint;
mod error;
mod link;
mod metrics;
mod outbound;
mod publisher;
mod reconnecting;
mod rights;
mod topology;

pub use batch::{DecodeError, MAX_BYTES, MAX_TENANTS, TenantBatch, TenantHint};
pub use consumer::Consumer;
pub use declare::delete_queues_and_messages;
pub use delivery::{Delivery, Retried};
pub use depths::{DepthsReader, QueueDepths, depths};
pub use endpoint::{check, virtual_host};
pub use error::QueueError;
pub use publisher::Publisher;
pub use rights::{MissingRight, missing_rights, permissions};
pub use topology::Topology;
