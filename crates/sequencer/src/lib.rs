//! Gives every change its place in one global order, and announces whose it is.
//!
//! ```text
//!  triggers ──▶ flagged rows, tombstones, touches
//!                    │ Stamper: one transaction under the ordering lock (SEQ-1)
//!                    ▼
//!               numbers · lockstep.outbox · lockstep.sequence_head · lockstep.fence
//!                    │ announcer: publish, wait for the confirm, delete
//!                    ▼
//!               RabbitMQ
//! ```
//!
//! `plan` decides (pure), `storage` holds the SQL, `step` does one pass, `service` repeats it. Beside them: `leader`
//! (SEQ-2), `announce` (OUT-1), `witness` (SRC-1), `upkeep`.
//!
//! Deliberately absent: what the rows hold, where they go, and any state that is not in Postgres. A sequencer can be
//! killed at any moment; whatever it had not committed is done by the next. ClickHouse is asked one thing only: how far
//! it has come.

mod announce;
mod arguments;
#[doc(hidden)]
pub mod decisions;
mod error;
mod figures;
mod leader;
mod plan;
mod service;
mod step;
mod storage;
mod upkeep;
mod witness;

pub use arguments::{Arguments, NEEDS};
pub use error::SequencerError;
pub use service::run;
pub use step::{Report, Stamper};
