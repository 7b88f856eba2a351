//! The Postgres side: connections, embedded migrations, and attaching capture to a source database.
//!
//! Start at [`Source`] for connections, [`attach`] for what `lockstep migrate` does, [`fills`] for exporting whole mappings,
//! [`tasks`] for periodic work.

pub mod actions;
pub mod attach;
mod connect;
pub mod definitions;
pub mod erasures;
mod error;
pub mod events;
pub mod fills;
mod fit;
pub mod identity;
pub mod instances;
pub mod locks;
pub mod migrations;
pub mod pauses;
pub mod progress;
pub mod quarantine;
pub mod refills;
pub mod replica;
pub mod resyncs;
pub mod row_security;
pub mod settings;
mod sqlstate;
mod tables;
pub mod tasks;
pub mod tenancy_locations;
pub mod tenant_destinations;
pub mod verification_runs;
pub mod verifications;

pub use connect::{Control, PoolerSign, Session, Source};
pub use error::{SourceError, within};
pub use fit::fits_its_table;
pub use sqlstate::SqlStateKind;
