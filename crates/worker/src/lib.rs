//! The worker: ships what tenants have changes of from Postgres to ClickHouse.
//!
//! ```text
//!  message ─▶ service::stream ─▶ Hints (merged) ─▶ flush ─▶ announce further pages ─▶ ack
//! ```
//!
//! Beside it run [`fill`] (rows that were there before), [`sweep`] (how far the destination is, and what got lost on the way)
//! and [`janitor`] (what is taken away for good), and all of it heeds the [`pauses`]. A message is only a hint: what a
//! flush does depends on the cursors and the source alone, so doing it twice, or by two workers at once, changes nothing
//! (IDEM-1).
//!
//! Rooms: `flush` is one batch, a file for each of its steps; `storage` holds the SQL; `service` repeats. Deliberately absent:
//! what a row means, and how it is written. Statements are derived in `lockstep-mappings`, and destinations encode.

mod error;
mod fill;
mod flush;
mod hints;
mod janitor;
mod limits;
mod mappings;
mod metrics;
mod pace;
mod pauses;
mod service;
mod shared;
mod storage;
mod sweep;
mod tenants;

use lockstep_core::settings::SettingsArgs;

pub use error::WorkerError;
pub use flush::{CursorMoves, CursorWrite, CursorsMove, Failed, Flushed, Flusher};
pub use hints::Hints;
pub use janitor::{Janitor, JanitorError, Round};
pub use limits::Limits;
pub use mappings::{MappingIndex, Mappings};
pub use service::{run, run_to};
pub use storage::progress::SWEEP_LOCK;

/// Ships changed rows from Postgres to ClickHouse. Run as many as you like.
#[derive(clap::Parser, Debug)]
#[command(name = "lockstep-worker", version)]
pub struct Arguments {
    /// Settings that all programs share.
    #[command(flatten)]
    pub settings: SettingsArgs,
}
