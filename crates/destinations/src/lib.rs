//! Where rows go: one trait, [`Destination`], and ClickHouse behind it.
//!
//! This crate carries bytes and keeps cursors. What the bytes mean is decided by `lockstep-mappings`, which derives
//! tables, insert statements and the codec; here they are text and chunks. The `clickhouse` crate is named here only.

pub mod clickhouse;
mod clocks;
mod destination;
mod error;
pub mod faulty;
mod window;

pub use clickhouse::ClickHouse;
pub use clocks::Moment;
pub use destination::{CursorAt, Cursors, Destination, RowSink, Selection};
pub use error::{DestinationError, Failure, Retry};
pub use window::WriteWindow;
