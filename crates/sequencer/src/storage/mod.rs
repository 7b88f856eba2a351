//! The sequencer's SQL: what it asks of Postgres, and in which words. Stamping statements come from the mappings.

pub(crate) mod facts;
pub(crate) mod fences;
pub(crate) mod lanes;
pub(crate) mod leadership;
pub(crate) mod outbox;
pub(crate) mod pending;
mod query;
pub(crate) mod session;
pub(crate) mod touches;
pub(crate) mod upkeep;
