//! The Postgres side: connections, embedded migrations, and attaching capture to a source database.
//!
//! Start at [`Source`] for connections, [`attach`] for what `lockstep migrate` does, [`fills`] for exporting whole mappings.

pub mod attach;
mod connect;
mod error;
pub mod fills;
pub mod fuses;
pub mod identity;
pub mod locks;
pub mod migrations;
pub mod row_security;
mod sqlstate;

pub use connect::{PoolerSign, Session, Source};
pub use error::{SourceError, within};
pub use sqlstate::Fault;
