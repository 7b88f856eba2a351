//! Gives every change its place in one global order, and announces whose it is.
//!
//! ```text
//!  triggers ──▶ lockstep.inbox ◀── expander: searches rows that depend on others
//!                    │ Numbering: one transaction under the ordering lock (SEQ-1)
//!                    ▼
//!               lockstep.change · lockstep.pass · lockstep.expansion · lockstep.fence
//!                    │ announcer: publish, wait for the confirm, write down how far
//!                    ▼
//!               RabbitMQ
//! ```
//!
//! `plan` decides (pure), `storage` holds the SQL, `step` makes one pass, `service` repeats it. Beside them: `leader`
//! (SEQ-2), `announce` (OUT-1), `rewind_guard` (SRC-1), and as periodic tasks `expander` (CAP-3), `watch` (CAP-1), `events` and
//! `upkeep`.
//!
//! Deliberately absent: what the rows hold, where they go, any write to a table of the application, and any state that is
//! not in Postgres. A sequencer can be killed at any moment; whatever it had not committed is done by the next. ClickHouse
//! is asked one thing only: how far it has come.

mod announce;
mod error;
mod events;
mod expander;
mod leader;
mod metrics;
mod plan;
mod rewind_guard;
mod service;
mod step;
mod storage;
mod upkeep;
mod watch;

use lockstep_core::settings::{Needs, SettingsArgs};

pub use error::SequencerError;
pub use service::run;
pub use step::{Numbering, Report};

/// Numbers changes in the source database and announces them. One leads; more of them stand by.
#[derive(clap::Parser, Debug)]
#[command(name = "lockstep-sequencer", version)]
pub struct Arguments {
    /// Settings that all programs share.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What the sequencer cannot do without. It writes no rows to ClickHouse, but asks how far they have come (SRC-1).
pub const NEEDS: Needs = Needs { source: true, amqp: true, clickhouse: true };
