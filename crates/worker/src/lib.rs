//! The worker: ships what tenants have news of from Postgres to ClickHouse.
//!
//! ```text
//!  message ─▶ service::stream ─▶ plan::News (merged) ─▶ flush ─▶ announce further pages ─▶ ack
//!                                                        │
//!     lookup and cursors ─▶ per mapping: ship (COPY ─▶ gate ─▶ chunks ─▶ insert) ─▶ cursors, in one write
//! ```
//!
//! Beside it run [`fill`] (rows that were there before), [`sweep`] (how far the destination is, and what got lost on the way)
//! and [`janitor`] (what is taken away for good), and all of it heeds the [`fusebox`]. A message is only a hint: what a
//! flush does depends on the cursors and the source alone, so doing it twice, or by two workers at once, changes nothing
//! (IDEM-1).
//!
//! Rooms: `plan` decides and touches nothing; `storage` holds the SQL; `ship` moves rows; `flush` is one batch; `service`
//! repeats. Deliberately absent: what a row means. Statements, types and encodings are derived in `lockstep-mappings`.

mod error;
mod fill;
mod fill_end;
mod flush;
mod fusebox;
mod janitor;
mod limits;
mod lookup;
mod measure;
mod pace;
mod plan;
mod routes;
mod service;
mod ship;
mod storage;
mod sweep;

pub use error::WorkerError;
pub use flush::{Failed, Flushed, Flusher};
pub use janitor::{Janitor, JanitorError, Round};
pub use limits::Limits;
pub use plan::News;
pub use routes::Routes;
pub use service::{run, run_to};
pub use storage::progress::SWEEP_LOCK;
