//! The Postgres side: connections, Diesel tables, embedded migrations, and attaching capture to a source database.
//!
//! Start at [`Source`] for connections, [`attach`] for what `lockstep migrate` does, [`control`] for Lockstep's own tables.

pub mod attach;
mod connect;
pub mod control;
mod error;
pub mod fuses;
pub mod identity;
pub mod migrations;

pub use connect::{Session, Source};
pub use error::SourceError;
