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
pub(crate) mod restarts;
mod sessions;
mod sweep_results;
mod tenancies;
pub(crate) mod tenants;

pub(crate) use fetch::{FetchSession, Snapshot};
pub(crate) use sessions::{FetchSessions, LeasedSession};
pub(crate) use tenancies::{LocationsByTenancy, TenancyLocations, is_at, look_up};

use lockstep_core::destination_id::CLICKHOUSE as DESTINATION;
