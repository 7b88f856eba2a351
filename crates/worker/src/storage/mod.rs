//! The worker's own SQL. Everything about mappings is derived elsewhere.

pub(crate) mod clean;
mod connection;
mod fetch;
pub(crate) mod fill_end;
pub(crate) mod fills;
pub(crate) mod janitor;
pub(crate) mod progress;
pub(crate) mod quarantine;
pub(crate) mod replica;
pub(crate) mod tenancies;

pub(crate) use fetch::{FetchSession, Snapshot};
pub(crate) use tenancies::look_up;

use lockstep_destinations::clickhouse::NAME as DESTINATION;
