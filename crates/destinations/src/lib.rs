//! Where rows go: one trait, [`Destination`], and ClickHouse behind it.
//!
//! A destination takes typed fields, encodes them in its own way, and keeps cursors. Tables, statements and the codec are
//! derived by `lockstep-mappings`. The `clickhouse` crate is named here only.

pub mod clickhouse;
mod clocks;
mod destination;
mod error;
pub mod faulty;
mod window;

pub use clickhouse::ClickHouse;
pub use clocks::Moment;
pub use destination::{CursorAt, Cursors, Destination, Ended, PageStart, PageWriter, Selection, Sent, WriteLimits};
pub use error::{DestinationError, Failure, Retry};
pub use window::WriteWindow;
